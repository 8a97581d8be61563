'use strict';

const assert = require('node:assert/strict');
const { test } = require('node:test');
const { world } = require('../lib/world');

const stoa = world();
const texts = Array.from({ length: 300 }, (_, i) => `message ${i}`);

test('300 messages wait for their receiver and arrive in order, once, between start and finish', async (t) => {
  const [alice, bob] = await stoa.people('alice', 'bob');
  const from = await alice.connect(t);
  await Promise.all(texts.map((text) => from.text(bob.id, text)));

  const to = await bob.connect(t, { device: 'phone' });
  await to.count('onTextMessage', texts.length);
  await to.next('onOfflineMessageSyncFinish');
  assert.deepEqual(to.texts(), texts);
  const names = to.entries.map((entry) => entry.name);
  assert.ok(names.indexOf('onOfflineMessageSyncStart') < names.indexOf('onTextMessage'));
  assert.ok(names.indexOf('onOfflineMessageSyncFinish') > names.lastIndexOf('onTextMessage'));

  to.close();
  await bob.rest.gone(bob.id, to.resource);
  await from.text(bob.id, 'one more');
  const again = await bob.connect(t, { device: 'phone' });
  await again.next('onOfflineMessageSyncFinish');
  assert.deepEqual(again.texts(), ['one more']);
});

test('messages that come while the backlog is fetched keep their place', async (t) => {
  const [alice, bob] = await stoa.people('alice', 'bob');
  const from = await alice.connect(t);
  await Promise.all(texts.map((text) => from.text(bob.id, text)));
  const to = bob.device(t);
  const live = ['live 1', 'live 2', 'live 3'];
  await Promise.all([
    to.open({ user: bob.id, accessToken: bob.token }),
    ...live.map((text) => from.text(bob.id, text)),
  ]);
  await to.count('onTextMessage', texts.length + live.length);
  assert.deepEqual(to.texts(), [...texts, ...live]);
});

test('a login with nothing waiting reports no synchronisation', async (t) => {
  const [alice, bob] = await stoa.people('alice', 'bob');
  const to = await bob.connect(t);
  const from = await alice.connect(t);
  await from.text(bob.id, 'hello');
  await to.nextText('hello');
  assert.deepEqual(to.all('onOfflineMessageSyncStart'), []);
});
