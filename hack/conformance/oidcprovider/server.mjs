// A real OpenID Provider (npm oidc-provider) with everything switched on that
// the sidecar can use: rotation with reuse detection, PAR, DPoP with nonces,
// private_key_jwt, mutual TLS, back-channel logout, resource indicators.
//
//   node server.mjs config.json
//
// It prints one line of JSON when it listens, and one for every call of the
// token endpoint. The control port takes faults and gives counts.
import { createServer } from 'node:http';
import { createServer as createSecureServer } from 'node:https';
import { readFileSync } from 'node:fs';
import Provider from 'oidc-provider';

const config = JSON.parse(readFileSync(process.argv[2], 'utf8'));
const say = (line) => process.stdout.write(`${JSON.stringify(line)}\n`);

const counts = {};
const count = (name) => { counts[name] = (counts[name] ?? 0) + 1; };
let faults = []; // {path, grant, count, status, delay, after}

const provider = new Provider(config.issuer, {
  clients: config.clients,
  jwks: config.jwks,
  cookies: { keys: ['conformance'] },
  pkce: { required: () => true },
  scopes: ['openid', 'offline_access', 'profile', 'email', 'orders'],
  claims: { openid: ['sub', 'sid', 'acr', 'auth_time'], profile: ['name'], email: ['email', 'email_verified'] },
  acrValues: ['urn:low', 'urn:high'],
  clientAuthMethods: ['client_secret_basic', 'client_secret_post', 'client_secret_jwt', 'private_key_jwt', ...(config.tls ? ['tls_client_auth', 'self_signed_tls_client_auth'] : [])],
  async findAccount(_, id) {
    return { accountId: id, async claims() { return { sub: id, name: `User ${id}`, email: `${id}@example.com`, email_verified: true }; } };
  },
  interactions: { url: (_, interaction) => `/interaction/${interaction.uid}` },
  issueRefreshToken: async (_, client, code) => client.grantTypeAllowed('refresh_token') && code.scopes.has('offline_access'),
  rotateRefreshToken: () => true,
  ttl: {
    AccessToken: config.accessTokenTTL ?? 60, RefreshToken: 3600, IdToken: 3600, Session: 3600, Grant: 3600, Interaction: 600,
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
        ctx.body = `<!doctype html><title>Signing out</title>${form}<script>document.forms[0].appendChild(Object.assign(document.createElement('input'),{type:'hidden',name:'logout',value:'yes'}));document.forms[0].submit()</script>`;
      },
    },
    backchannelLogout: { enabled: true },
    pushedAuthorizationRequests: { enabled: true, requirePushedAuthorizationRequests: config.requirePAR ?? false },
    requestObjects: { enabled: config.requestObjects ?? false, requireSignedRequestObject: false },
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
        if (!certificate) return false;
        if (property === 'tls_client_auth_subject_dn') return certificate.subject === expected;
        return property === 'tls_client_auth_san_dns' && (certificate.subjectAltName ?? '').includes(`DNS:${expected}`);
      },
    },
    resourceIndicators: {
      enabled: true,
      defaultResource: (_, client, oneOf) => oneOf?.[0] ?? (config.resource || undefined),
      useGrantedResource: () => true,
      getResourceServerInfo: (_, resource) => ({ scope: 'orders offline_access profile email', audience: resource, accessTokenFormat: 'opaque', accessTokenTTL: config.accessTokenTTL ?? 60 }),
    },
  },
});
provider.proxy = true;

// Whoever is asked to log in is config.account, and agrees to everything.
async function interact(ctx) {
  const details = await provider.interactionDetails(ctx.req, ctx.res);
  const result = { login: { accountId: config.account ?? 'user', acr: details.params.acr_values?.split(' ')[0] ?? 'urn:low', remember: true } };
  if (details.prompt.name === 'consent') {
    const grant = details.grantId ? await provider.Grant.find(details.grantId)
      : new provider.Grant({ accountId: details.session.accountId, clientId: details.params.client_id });
    const { missingOIDCScope, missingOIDCClaims, missingResourceScopes } = details.prompt.details;
    if (missingOIDCScope) grant.addOIDCScope(missingOIDCScope.join(' '));
    if (missingOIDCClaims) grant.addOIDCClaims(missingOIDCClaims);
    for (const [resource, scopes] of Object.entries(missingResourceScopes ?? {})) grant.addResourceScope(resource, scopes.join(' '));
    delete result.login;
    result.consent = { grantId: await grant.save() };
  }
  await provider.interactionFinished(ctx.req, ctx.res, result, { mergeWithLastSubmission: true });
  ctx.respond = false;
}

// grantOf reads a form without taking it from the provider.
async function grantOf(ctx) {
  if (ctx.method !== 'POST' || ctx.path !== '/token') return '';
  const chunks = [];
  for await (const chunk of ctx.req) chunks.push(chunk);
  const text = Buffer.concat(chunks).toString();
  ctx.req.body = Object.fromEntries(new URLSearchParams(text)); // where the provider looks first
  return ctx.req.body.grant_type ?? '';
}

provider.use(async (ctx, next) => {
  if (ctx.path.startsWith('/interaction/')) return interact(ctx);
  const grant = await grantOf(ctx);
  const fault = faults.find((f) => f.count > 0 && f.path === ctx.path && (!f.grant || f.grant === grant));
  if (fault) fault.count -= 1;
  if (fault?.status) {
    count(`fault ${ctx.path} ${grant}`.trim());
    ctx.status = fault.status;
    ctx.body = { error: 'temporarily_unavailable' };
    return undefined;
  }
  await next();
  const name = `${ctx.path} ${grant}`.trim();
  count(`${name} ${ctx.status}`);
  if (ctx.path === '/token') say({ event: 'token', grant, status: ctx.status, error: ctx.body?.error });
  if (fault?.delay) { // processed, and the answer held back: what happens if the caller dies now?
    say({ event: 'held', grant });
    await new Promise((resolve) => { setTimeout(resolve, fault.delay); });
  }
  if (fault?.drop) ctx.res.destroy();
  return undefined;
});

provider.on('backchannel.success', () => count('backchannel success'));
provider.on('backchannel.error', (_, error) => { count('backchannel error'); say({ event: 'backchannel_error', message: error.message }); });
provider.on('server_error', (_, error) => say({ event: 'server_error', message: error.message }));

const control = createServer(async (request, response) => {
  const chunks = [];
  for await (const chunk of request) chunks.push(chunk);
  if (request.method === 'POST') faults = JSON.parse(Buffer.concat(chunks).toString() || '[]');
  response.setHeader('content-type', 'application/json');
  response.end(JSON.stringify(counts));
});

const server = config.tls
  ? createSecureServer({
    key: readFileSync(config.tls.key), cert: readFileSync(config.tls.cert), ca: readFileSync(config.tls.ca),
    requestCert: true, rejectUnauthorized: false,
  }, provider.callback())
  : createServer(provider.callback());

server.listen(config.port, '127.0.0.1', () => control.listen(0, '127.0.0.1', () => {
  say({ event: 'listening', control: control.address().port });
}));
// It ends with whoever started it.
process.stdin.on('end', () => process.exit(0)).resume();
