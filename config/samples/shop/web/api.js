// Calls to our own origin. The browser attaches the session cookie, the header X-CSRF tells the sidecar that the call
// comes from this page (another site cannot send it without asking first), and that is all there is to it: no token to
// fetch, keep, renew or attach.

/** The session is over or was never there. */
export class SignedOut extends Error {}

/** The service cannot answer right now; trying again later makes sense. */
export class Unavailable extends Error {}

/** Any other answer that is not a success. */
export class Failed extends Error {}

/**
 * Calls a path of this origin and returns the JSON of its answer.
 * @param {string} path
 * @param {{method?: string, body?: unknown}} [options]
 */
export async function call(path, {method = 'GET', body} = {}) {
  const headers = {'X-CSRF': '1', 'Accept': 'application/json'};
  if (body !== undefined) headers['Content-Type'] = 'application/json';

  let response;
  try {
    response = await fetch(path, {
      method,
      headers,
      body: body === undefined ? undefined : JSON.stringify(body),
      cache: 'no-store',
      signal: AbortSignal.timeout(15_000),
    });
  } catch {
    throw new Unavailable('The server does not answer.');
  }
  if (response.ok) {
    return response.json().catch(() => {
      throw new Failed(`${path} was not answered by the sidecar: this page is served without one.`);
    });
  }

  // Errors are problems (RFC 9457); what stands in front of the sidecar may answer anything.
  const problem = await response.json().catch(() => ({}));
  const message = problem.detail || problem.title || `The server answered ${response.status}.`;
  if (response.status === 401) throw new SignedOut(message);
  if (response.status === 429 || response.status >= 500) throw new Unavailable(message);
  throw new Failed(message);
}

export const orders = () => call('/api/orders');

export const placeOrder = (sku, quantity) => call('/api/orders', {method: 'POST', body: {sku, quantity}});
