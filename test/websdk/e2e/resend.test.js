'use strict';

const assert = require('node:assert/strict');
const { test } = require('node:test');
const { Proxy } = require('../lib/proxy');
const { refused } = require('../lib/refused');
const { world } = require('../lib/world');

const stoa = world();

test('a message sent again after a lost answer is not stored twice and keeps its id', async (t) => {
  const [alice, bob] = await stoa.people('alice', 'bob');
  const to = await bob.connect(t);
  const proxy = await Proxy.start(t, alice.base);
  const from = await alice.connect(t, { base: proxy.base });

  const message = from.message({ type: 'txt', to: bob.id, msg: 'once' });
  proxy.loseDown();
  const lost = refused(from.conn.send(message), 'the first send');
  const { id: storedId } = await to.nextText('once');
  proxy.cut();
  assert.equal((await lost).type, 510);
  await from.next('onConnected');

  const { serverMsgId } = await from.conn.send(message);
  assert.equal(serverMsgId, storedId);
  await from.text(bob.id, 'next');
  await to.nextText('next');
  assert.deepEqual(to.texts(), ['once', 'next']);
});

test('messages sent while offline go out after the reconnect', async (t) => {
  const [alice, bob] = await stoa.people('alice', 'bob');
  const to = await bob.connect(t);
  const proxy = await Proxy.start(t, alice.base);
  const from = await alice.connect(t, { base: proxy.base });

  proxy.cut();
  await from.next('onReconnecting');
  const sends = ['one', 'two', 'three'].map((text) => from.text(bob.id, text));
  await Promise.all(sends);
  await to.nextText('three');
  assert.deepEqual(to.texts(), ['one', 'two', 'three']);
});

test('one client id means another message for another receiver or another text', async (t) => {
  const [alice, bob, carol] = await stoa.people('alice', 'bob', 'carol');
  const from = await alice.connect(t);
  const toBob = await bob.connect(t);
  const toCarol = await carol.connect(t);
  const send = (to, msg) => from.conn.send({ ...from.message({ type: 'txt', to, msg }), id: '1' });

  const results = [await send(bob.id, 'to Bob'), await send(carol.id, 'to Carol'), await send(bob.id, 'to Bob again')];
  assert.equal(new Set(results.map((result) => result.serverMsgId)).size, 3);
  await toBob.nextText('to Bob again');
  await toCarol.nextText('to Carol');
  assert.deepEqual(toBob.texts(), ['to Bob', 'to Bob again']);
});
