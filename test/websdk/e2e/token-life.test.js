'use strict';

const assert = require('node:assert/strict');
const { test } = require('node:test');
const { proves } = require('../lib/parity');
const { signedToken } = require('../lib/tokens');
const { refused } = require('../lib/refused');
const { world } = require('../lib/world');

const stoa = world();

function order(client, ...names) {
  const seen = client.entries.map((entry) => entry.name).filter((name) => names.includes(name));
  assert.deepEqual(seen, names);
}

test('the client is warned before its token ends, and told when it has ended', async (t) => {
  const ada = await stoa.person('ada');
  const start = Date.now();
  ada.token = await ada.rest.inheritToken(ada.id, { ttl: 4 });
  const client = await ada.connect(t);
  await client.next('onTokenWillExpire');
  await client.next('onTokenExpired');
  const life = Date.now() - start;
  assert.ok(life > 3000, `ended after ${life} ms`);
  assert.equal(await client.next('onDisconnected'), undefined);
  order(client, 'onConnected', 'onTokenWillExpire', 'onTokenExpired', 'onDisconnected');
  await ada.rest.gone(ada.id, client.resource);
});

test('a signed token ends as an issued one does', async (t) => {
  const ada = await stoa.person('ada');
  ada.token = signedToken({ appId: stoa.appId, certificate: stoa.certificate, user: ada.id, life: 3 });
  const client = await ada.connect(t);
  await client.next('onTokenWillExpire');
  await client.next('onTokenExpired');
  await client.next('onDisconnected');
});

proves('renewToken', 'a token that is renewed in time keeps the session past the end of the old one', async (t) => {
  const [alice, bob] = await stoa.people('alice', 'bob');
  const to = await bob.connect(t);
  const old = await alice.rest.inheritToken(alice.id, { ttl: 3 });
  alice.token = old;
  const from = await alice.connect(t);
  await from.next('onTokenWillExpire');
  const renewed = await from.conn.renewToken(await alice.rest.inheritToken(alice.id, { ttl: 600 }));
  assert.equal(renewed.status, true);
  assert.ok(renewed.expire > Date.now() + 500_000);

  await alice.rest.expired(alice.id, old);
  await from.text(bob.id, 'still here');
  await to.nextText('still here');
  for (const event of ['onTokenExpired', 'onReconnecting', 'onDisconnected']) assert.deepEqual(from.all(event), []);
});

proves('renewToken', "another user's token and garbage renew nothing, and the session stays", async (t) => {
  const [ada, eve] = await stoa.people('ada', 'eve');
  const client = await ada.connect(t);
  const foreign = await refused(client.conn.renewToken(eve.token), 'renewToken');
  assert.equal(foreign.type, 52);
  const garbage = await refused(client.conn.renewToken('garbage'), 'renewToken');
  assert.ok([17, 52].includes(garbage.type), `code ${garbage.type}`);
  await client.text(eve.id, 'still here');
  assert.deepEqual(client.all('onTokenExpired'), []);
});
