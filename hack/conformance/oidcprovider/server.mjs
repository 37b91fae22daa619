// A real OpenID Provider (npm oidc-provider) with everything switched on that
// the sidecar can use: rotation with reuse detection, PAR, request objects, DPoP
// with nonces, private_key_jwt, mutual TLS, back-channel logout, resource
// indicators.
//
//   node server.mjs config.json
//
// It prints one line of JSON when it listens, and one for everything a test may
// wait for. The control port takes faults and gives counts. See package
// hack/conformance/internal/oidcprovider, which starts it.
import { generateKeyPairSync } from 'node:crypto';
import { createServer } from 'node:http';
import { createServer as createSecureServer } from 'node:https';
import { readFileSync } from 'node:fs';
import { parse } from 'node:querystring';
import Provider from 'oidc-provider';
import { setStorage } from 'oidc-provider/lib/adapters/memory_adapter.js';

const config = JSON.parse(readFileSync(process.argv[2], 'utf8'));
const say = (line) => process.stdout.write(`${JSON.stringify(line)}\n`);
const listen = (server, port = 0) => new Promise((resolve) => {
  server.listen(port, '127.0.0.1', () => resolve(server.address().port));
});
const body = async (request) => {
  const chunks = [];
  for await (const chunk of request) chunks.push(chunk);
  return Buffer.concat(chunks).toString();
};

// The issuer names the port, so there must be one before there is a provider.
let handle;
const scheme = config.tls ? 'https' : 'http';
const server = config.tls
  ? createSecureServer({ key: config.tls.key, cert: config.tls.cert }, (...call) => handle(...call))
  : createServer((...call) => handle(...call));
const issuer = `${scheme}://127.0.0.1:${await listen(server)}`;

// Certificates are asked for at a port of their own, since a browser would ask
// its user about them (RFC 8705 section 5).
const aliases = {};
if (config.tls) {
  const mutual = createSecureServer({
    key: config.tls.key, cert: config.tls.cert, ca: config.tls.ca, requestCert: true, rejectUnauthorized: false,
  }, (...call) => handle(...call));
  const at = `${scheme}://127.0.0.1:${await listen(mutual)}`;
  aliases.mtls_endpoint_aliases = {
    token_endpoint: `${at}/token`, revocation_endpoint: `${at}/token/revocation`,
    pushed_authorization_request_endpoint: `${at}/request`, userinfo_endpoint: `${at}/me`,
  };
}

const counts = {}; // by client, then by what happened
const count = (client, what) => {
  counts[client] ??= {};
  counts[client][what] = (counts[client][what] ?? 0) + 1;
};
let faults = []; // {path, grant, count, status, stall, hold, drop}
const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });

// Its own store forgets the oldest of a thousand entries, which would look like
// sessions that were lost.
setStorage(new Map());

const provider = new Provider(issuer, {
  clients: config.clients,
  jwks: { keys: [{ ...privateKey.export({ format: 'jwk' }), use: 'sig', alg: 'RS256', kid: 'conformance' }] },
  cookies: { keys: ['conformance'], long: { httpOnly: true, sameSite: config.sessionCookieSameSite ?? 'none' } },
  discovery: aliases,
  pkce: { required: () => true },
  scopes: ['openid', 'offline_access', 'profile', 'email', 'orders'],
  claims: { openid: ['sub', 'sid', 'acr', 'auth_time'], profile: ['name'], email: ['email', 'email_verified'] },
  acrValues: ['urn:low', 'urn:high'],
  clientAuthMethods: [
    'client_secret_basic', 'client_secret_post', 'client_secret_jwt', 'private_key_jwt',
    ...(config.tls ? ['tls_client_auth', 'self_signed_tls_client_auth'] : []),
  ],
  async findAccount(_, id) {
    return { accountId: id, async claims() { return { sub: id, name: `User ${id}`, email: `${id}@example.com`, email_verified: true }; } };
  },
  interactions: { url: (_, interaction) => `/interaction/${interaction.uid}` },
  issueRefreshToken: async (_, client, code) => client.grantTypeAllowed('refresh_token') && code.scopes.has('offline_access'),
  rotateRefreshToken: () => true,
  ttl: {
    AccessToken: config.accessTokenTTL, RefreshToken: 3600, IdToken: 3600, Session: 3600, Grant: 3600, Interaction: 600,
    AuthorizationCode: 60,
  },
  features: {
    devInteractions: { enabled: false },
    userinfo: { enabled: true },
    revocation: { enabled: true },
    rpInitiatedLogout: {
      enabled: true,
      // The user has nothing to say: the page submits itself at once.
      logoutSource: async (ctx, form) => {
        ctx.body = `<!doctype html><title>Signing out</title>${form.replace('</form>', '<input type="hidden" name="logout" value="yes"/></form>')}<script>document.forms[0].submit()</script>`;
      },
    },
    backchannelLogout: { enabled: true },
    pushedAuthorizationRequests: { enabled: true },
    requestObjects: { request: true },
    dPoP: {
      enabled: true,
      nonceSecret: config.dpopNonces ? Buffer.alloc(32, 7) : undefined,
      requireNonce: () => config.dpopNonces ?? false,
    },
    mTLS: {
      enabled: Boolean(config.tls),
      certificateBoundAccessTokens: true, tlsClientAuth: true, selfSignedTlsClientAuth: true,
      getCertificate: (ctx) => ctx.socket.getPeerX509Certificate?.(),
      certificateAuthorized: (ctx) => ctx.socket.authorized,
      certificateSubjectMatches: (ctx, property, expected) => {
        const certificate = ctx.socket.getPeerX509Certificate?.();
        return property === 'tls_client_auth_subject_dn' && certificate?.subject === expected;
      },
    },
    resourceIndicators: {
      enabled: true,
      defaultResource: (_, client, oneOf) => oneOf?.[0],
      useGrantedResource: () => true,
      getResourceServerInfo: (_, resource) => ({
        scope: 'orders offline_access profile email', audience: resource, accessTokenFormat: 'opaque', accessTokenTTL: config.accessTokenTTL,
      }),
    },
  },
});

// Whoever is asked to log in is "user", and agrees to everything.
async function interact(ctx) {
  const details = await provider.interactionDetails(ctx.req, ctx.res);
  count(details.params.client_id, `prompt ${details.prompt.name}`);
  if (details.prompt.name !== 'consent') {
    const acr = details.params.acr_values?.split(' ')[0] ?? 'urn:low';
    await provider.interactionFinished(ctx.req, ctx.res, { login: { accountId: 'user', acr, remember: true } }, { mergeWithLastSubmission: true });
  } else {
    const grant = details.grantId ? await provider.Grant.find(details.grantId)
      : new provider.Grant({ accountId: details.session.accountId, clientId: details.params.client_id });
    const { missingOIDCScope, missingOIDCClaims, missingResourceScopes } = details.prompt.details;
    if (missingOIDCScope) grant.addOIDCScope(missingOIDCScope.join(' '));
    if (missingOIDCClaims) grant.addOIDCClaims(missingOIDCClaims);
    for (const [resource, scopes] of Object.entries(missingResourceScopes ?? {})) grant.addResourceScope(resource, scopes.join(' '));
    await provider.interactionFinished(ctx.req, ctx.res, { consent: { grantId: await grant.save() } }, { mergeWithLastSubmission: true });
  }
  ctx.respond = false;
}

const formOf = async (ctx) => {
  if (ctx.method !== 'POST') return {};
  ctx.req.body = parse(await body(ctx.req)); // where the provider looks for a form that somebody has read
  return ctx.req.body;
};

// How a client has proved who it is, by what came.
const proofOf = (ctx, form) => {
  const ways = [];
  if (ctx.get('authorization')) ways.push('header');
  if (form.client_secret) ways.push('client_secret');
  if (form.client_assertion) ways.push('client_assertion');
  if (ctx.socket.getPeerX509Certificate?.()) ways.push('certificate');
  return ways.join(' ') || 'nothing';
};

provider.use(async (ctx, next) => {
  if (ctx.path.startsWith('/interaction/')) return interact(ctx);
  const form = await formOf(ctx);
  const grant = form.grant_type;
  const what = [ctx.method, ctx.path, grant].filter(Boolean).join(' ');
  const fault = faults.find((f) => f.count > 0 && f.path === ctx.path && (!f.grant || f.grant === grant));
  if (fault) fault.count -= 1;
  if (fault?.status) {
    count('', `fault ${what} ${fault.status}`);
    ctx.status = fault.status;
    ctx.body = { error: 'temporarily_unavailable' };
    return undefined;
  }
  if (fault?.stall) { // not processed yet: what happens if the caller dies now?
    say({ event: 'stalled', grant });
    await new Promise((resolve) => { setTimeout(resolve, fault.stall); ctx.req.socket.once('close', resolve); });
    if (ctx.req.socket.destroyed) { ctx.respond = false; return undefined; }
  }
  await next();
  const client = ctx.oidc?.client?.clientId ?? '';
  count(client, `${what} ${ctx.status}`);
  if (ctx.path === '/token' || ctx.path === '/request') count(client, `${ctx.path} with ${proofOf(ctx, form)}${ctx.get('dpop') ? ' and DPoP' : ''}`);
  if (form.request ?? ctx.query.request) count(client, 'request object');
  if (ctx.path === '/session/end') {
    count(client, `logout ${ctx.get('sec-fetch-site') || 'unknown'} ${ctx.method} ${ctx.get('cookie').includes('_session=') ? 'with' : 'without'} the session cookie`);
  }
  if (ctx.path === '/token') {
    const { error, error_description: description, access_token: access, refresh_token: refresh, id_token: id } = ctx.body ?? {};
    say({ event: 'token', client, grant, status: ctx.status, error, description, access, refresh, id });
  }
  if (fault?.hold) { // processed, and the answer held back: what happens if the caller dies now?
    say({ event: 'held', client, grant });
    await new Promise((resolve) => { setTimeout(resolve, fault.hold); ctx.req.socket.once('close', resolve); });
  }
  if (fault?.drop) { ctx.respond = false; ctx.res.destroy(); }
  return undefined;
});

provider.on('backchannel.success', (_, client) => count(client.clientId, 'backchannel success'));
provider.on('backchannel.error', (_, error, client) => { count(client.clientId, 'backchannel error'); say({ event: 'backchannel_error', message: error.message }); });
provider.on('server_error', (_, error) => say({ event: 'server_error', message: error.message }));
handle = provider.callback();

const commands = {
  'GET /counts': async () => counts,
  'POST /faults': async (request) => { faults = JSON.parse(await body(request)); return {}; },
  // A resource server's question (RFC 7662), which oidc-provider answers to
  // clients only.
  'POST /token': async (request) => {
    const token = await provider.AccessToken.find(await body(request), { ignoreExpiration: true });
    if (!token) return { active: false };
    return {
      active: true, client_id: token.clientId, exp: token.exp, scope: token.scope, aud: token.aud,
      cnf: { jkt: token.jkt, 'x5t#S256': token['x5t#S256'] },
    };
  },
  // Where logout tokens go, known only when there is a sidecar.
  'POST /backchannel': async (request) => {
    const { client, uri } = JSON.parse(await body(request));
    Object.assign(await provider.Client.find(client), { backchannelLogoutUri: uri, backchannelLogoutSessionRequired: true });
    return {};
  },
};
const control = createServer(async (request, response) => {
  const command = commands[`${request.method} ${request.url}`];
  try {
    response.statusCode = command ? 200 : 404;
    response.setHeader('content-type', 'application/json');
    response.end(JSON.stringify(command ? await command(request) : {}));
  } catch (error) {
    response.statusCode = 500;
    response.end(JSON.stringify({ error: error.message }));
  }
});
say({ event: 'listening', issuer, control: `http://127.0.0.1:${await listen(control)}` });
// It ends with whoever started it.
process.stdin.on('end', () => process.exit(0)).resume();
