// The application: read the session, show the matching face, react to the user.

import {orders, placeOrder, SignedOut} from './api.js';
import {logout, readSession} from './session.js';
import {busy, notify, show, showOrders, showToken, showUser, tick} from './view.js';

const SESSION_CHECK = 30_000; // ms
const SIGNED_OUT = 'You have been signed out. Sign in again to go on.';

let session; // what /bff/session said last; undefined until it has answered
let token;   // what the API said about the last access token; undefined until it has answered
let failing = false;

async function checkSession() {
  const wasSignedIn = session?.authenticated;
  session = await readSession();
  if (!session.authenticated) {
    signedOut(wasSignedIn ? SIGNED_OUT : undefined);
    return;
  }
  showUser(session);
  show('shop');
  tick({session, token});
  if (!token) await loadOrders();
}

async function loadOrders() {
  const answer = await orders();
  token = answer.token;
  showOrders(answer);
  showToken(answer);
  tick({session, token});
}

function signedOut(message) {
  session = {authenticated: false};
  token = undefined;
  show('welcome');
  if (message) notify(message, 'warning');
}

/** Does something that may fail, and tells the user if it did, and when it works again. */
async function attempt(work) {
  try {
    await work();
    if (failing) notify('');
    failing = false;
  } catch (error) {
    if (error instanceof SignedOut) return signedOut(SIGNED_OUT);
    failing = true;
    notify(`${error.message} Try again in a moment.`, 'error');
    if (!session) show('welcome');
  }
}

/** Does what the user asked for, and says that it is done. A call keeps the session alive, so that is read again. */
const act = (control, work) => busy(control, () => attempt(async () => {
  const done = await work();
  session = await readSession();
  failing = false;
  notify(done);
}));

document.getElementById('order-form').addEventListener('submit', (event) => {
  event.preventDefault();
  const {sku, quantity} = Object.fromEntries(new FormData(event.target));
  act('add-order', async () => {
    const {order} = await placeOrder(sku, Number(quantity));
    await loadOrders();
    return `Order ${order.id} is placed.`;
  });
});

document.getElementById('call-api').addEventListener('click', () => act('call-api', async () => {
  await loadOrders();
  return 'The API has answered.';
}));

document.getElementById('logout').addEventListener('click', () => busy('logout', () => attempt(logout)));

// Another tab may have signed in or out.
document.addEventListener('visibilitychange', () => document.visibilityState === 'visible' && attempt(checkSession));
setInterval(() => session?.authenticated === false || attempt(checkSession), SESSION_CHECK);
setInterval(() => session?.authenticated && tick({session, token}), 1000);

attempt(checkSession);
