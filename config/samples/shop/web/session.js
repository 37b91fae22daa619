// The session, as far as a page may know it.

import {call} from './api.js';

/** Asks whether somebody is logged in. Asking does not keep the session alive. */
export async function readSession() {
  const session = await call('/bff/session');
  return {...session, readAt: Date.now()};
}

/** Where a navigation starts the login; it comes back to the page the user is on. */
export const loginURL = () => `/bff/login?returnTo=${encodeURIComponent(location.pathname + location.search)}`;

/** Ends the session, then lets the identity provider end its own. */
export async function logout() {
  const {logoutURL} = await call('/bff/logout', {method: 'POST'});
  const next = new URL(logoutURL || '/', location.href);
  location.assign(/^https?:$/.test(next.protocol) ? next.href : '/');
}

/** Everything a script on this page could get hold of. */
export const holdings = () => ({
  cookie: document.cookie,
  local: Object.keys(localStorage),
  session: Object.keys(sessionStorage),
});
