'use strict';

const assert = require('node:assert/strict');
const { test } = require('node:test');
const { refused } = require('../lib/refused');
const { world } = require('../lib/world');

const stoa = world();

async function pair(t) {
  const [alice, bob] = await stoa.people('alice', 'bob');
  return { bob, from: await alice.connect(t), to: await bob.connect(t) };
}

test('a message to an unknown user is 204', async (t) => {
  const { from } = await pair(t);
  const error = await refused(from.text('nobody-at-all', 'hello'));
  assert.equal(error.type, 204);
});

test('a message above 5 KB is 511, whether text or extension makes it so', async (t) => {
  const { bob, from, to } = await pair(t);
  assert.equal((await refused(from.text(bob.id, 'x'.repeat(5200)))).type, 511);
  const ext = { note: 'y'.repeat(3000) };
  assert.equal((await refused(from.text(bob.id, 'x'.repeat(3000), { ext }))).type, 511);
  await from.text(bob.id, 'x'.repeat(4500));
  assert.equal((await to.nextText()).msg.length, 4500);
});

test('a refused send names the message that it refused', async (t) => {
  const { from } = await pair(t);
  const message = from.message({ type: 'txt', to: 'nobody-at-all', msg: 'hello' });
  const error = await refused(from.conn.send(message));
  assert.equal(error.data.id, message.id);
});

test('a message before the login and after closing is 39', async (t) => {
  const [alice, bob] = await stoa.people('alice', 'bob');
  const early = alice.device(t);
  assert.equal((await refused(early.text(bob.id, 'early'))).type, 39);
  await early.open({ user: alice.id, accessToken: alice.token });
  await early.text(bob.id, 'in time');
  early.close();
  assert.equal((await refused(early.text(bob.id, 'late'))).type, 39);
});

test('a message without a receiver is 205', async (t) => {
  const { from } = await pair(t);
  assert.equal((await refused(from.text('', 'to nobody'))).type, 205);
});

test('a message to an unknown group is 605', async (t) => {
  const { from } = await pair(t);
  assert.equal((await refused(from.text('123456789', 'hello', { chatType: 'groupChat' }))).type, 605);
});

test('joining an unknown room is 705', async (t) => {
  const { from } = await pair(t);
  assert.equal((await refused(from.conn.joinChatRoom({ roomId: '123456789' }))).type, 705);
});

test('a refused message disturbs neither the connection nor the messages around it', async (t) => {
  const { bob, from, to } = await pair(t);
  await Promise.all([
    from.text(bob.id, 'before'),
    refused(from.text('nobody-at-all', 'lost')),
    refused(from.text(bob.id, 'x'.repeat(6000))),
    from.text(bob.id, 'after'),
  ]);
  await to.nextText('after');
  assert.deepEqual(to.texts(), ['before', 'after']);
  assert.deepEqual(from.all('onError'), []);
  assert.deepEqual(from.all('onReconnecting'), []);
});
