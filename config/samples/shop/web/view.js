// What the page shows. Text goes in as text: nothing here turns a string into markup.

import {holdings, loginURL} from './session.js';

const $ = (id) => document.getElementById(id);
const money = new Intl.NumberFormat('en', {style: 'currency', currency: 'EUR'});
const day = new Intl.DateTimeFormat('en', {dateStyle: 'medium'});

/** Shows one of the page's faces: loading, welcome or shop. */
export function show(face) {
  for (const id of ['loading', 'welcome', 'shop']) $(id).hidden = id !== face;
  $('login').hidden = face !== 'welcome';
  $('account').hidden = $('logout').hidden = face !== 'shop';
  $('login').href = $('login-main').href = loginURL();
}

/** Tells the user something, and assistive technology too. Kinds: info, warning, error. */
export function notify(text, kind = 'info') {
  $('status').textContent = text;
  $('status').dataset.kind = kind;
}

/** Disables a control while its work is under way. */
export async function busy(id, work) {
  $(id).disabled = true;
  try {
    return await work();
  } finally {
    $(id).disabled = false;
  }
}

export function showUser({claims = {}}) {
  const name = claims.name || claims.preferred_username || claims.sub || 'you';
  $('user').textContent = name;
  $('initials').textContent = name.split(/\s+/).map((word) => word[0]).slice(0, 2).join('').toUpperCase();
  $('greeting').textContent = `Hello, ${name.split(/\s+/)[0]}`;
  $('claims').replaceChildren(...Object.entries(claims).map(([claim, value]) => fact(claim, value)));
}

export function showOrders({orders, catalogue}) {
  const open = orders.filter((order) => order.status !== 'Delivered').length;
  $('summary').textContent = open === 0 ? 'Everything you ordered has arrived.'
    : open === 1 ? 'One order is on its way to you.' : `${open} orders are on their way to you.`;
  $('orders').replaceChildren(...orders.map(orderItem));
  if ($('sku').options.length === 0) {
    $('sku').append(...catalogue.map(({sku, name, cents}) => new Option(`${name} · ${money.format(cents / 100)}`, sku)));
  }
}

let shownToken = '';
let tokensSeen = 0;

/** Shows what the API said about the request it got. */
export function showToken({token, request}) {
  if (token.id !== shownToken) {
    shownToken = token.id;
    tokensSeen++;
    $('token-jti').textContent = $('token-jti').title = token.id;
    $('token-jti').classList.remove('fresh');
    requestAnimationFrame(() => $('token-jti').classList.toggle('fresh', tokensSeen > 1));
  }
  $('token-count').textContent = tokensSeen;
  const bearer = request.headers.includes('Authorization') ? 'Bearer token' : 'no token';
  $('api-saw').textContent = `${bearer}, ${request.cookie ? request.cookies.length + ' cookie(s)' : 'no cookie'}`;
  mark($('api-saw'), !request.cookie);
}

/** Shows what changes by itself: countdowns, and what the browser holds. */
export function tick({session, token}) {
  const {cookie, local, session: stored} = holdings();
  showHolding('cookie-view', cookie);
  showHolding('local-view', local.join(', '));
  showHolding('session-view', stored.join(', '));

  const elapsed = (Date.now() - session.readAt) / 1000;
  $('expires').textContent = duration(session.expiresIn - elapsed);
  $('idle').textContent = duration(session.idleExpiresIn - elapsed);

  if (!token) return;
  const left = (Date.parse(token.expiresAt) - Date.now()) / 1000;
  const life = (Date.parse(token.expiresAt) - Date.parse(token.issuedAt)) / 1000;
  $('token-life').value = Math.max(0, Math.min(1, left / life));
  $('token-expires').textContent = left > 0 ? duration(left) : 'expired, the next call gets a new one';
}

function showHolding(id, content) {
  $(id).textContent = content || 'empty';
  mark($(id), !content);
}

function mark(element, good) {
  element.toggleAttribute('data-good', good);
  element.toggleAttribute('data-bad', !good);
}

function orderItem({id, product, quantity, cents, status, placedAt}) {
  const item = $('order-template').content.cloneNode(true);
  const part = (name) => item.querySelector(`[data-part=${name}]`);
  item.querySelector('use').setAttribute('href', `/icons.svg#${product.sku}`);
  part('name').textContent = quantity > 1 ? `${product.name} × ${quantity}` : product.name;
  part('detail').textContent = `${id} · ${day.format(new Date(placedAt))}`;
  part('status').textContent = status;
  part('status').toggleAttribute('data-open', status !== 'Delivered');
  part('price').textContent = money.format(cents / 100);
  return item;
}

function fact(name, value) {
  const row = $('fact-template').content.cloneNode(true);
  row.querySelector('dt').textContent = name;
  row.querySelector('dd').textContent = Array.isArray(value) ? value.join(', ') : String(value);
  return row;
}

function duration(seconds) {
  if (!Number.isFinite(seconds)) return 'unknown';
  const s = Math.max(0, Math.floor(seconds));
  if (s < 120) return `${s} s`;
  if (s < 7200) return `${Math.floor(s / 60)} min`;
  return `${Math.floor(s / 3600)} h ${Math.floor(s / 60) % 60} min`;
}
