'use strict';

const assert = require('node:assert/strict');
const { test } = require('node:test');
const { world } = require('../lib/world');

const stoa = world();

// The SDK sends delivery receipts by itself and drops their promises: one that is unanswered when the client closes is
// an unhandled rejection. settled resolves when the server has answered the receipt of that client.
function settled(client) {
  return client.next('onReceivedMessage');
}

test('a delivery receipt reaches the sender', async (t) => {
  const [alice, bob] = await stoa.people('alice', 'bob');
  const from = await alice.connect(t);
  const to = await bob.connect(t, { delivery: true });
  const { serverMsgId } = await from.text(bob.id, 'hello');
  assert.equal((await from.next('onDeliveredMessage')).mid, serverMsgId);
  await settled(to);
});

test('a read receipt reaches the sender', async (t) => {
  const [alice, bob] = await stoa.people('alice', 'bob');
  const from = await alice.connect(t);
  const to = await bob.connect(t);
  const { serverMsgId } = await from.text(bob.id, 'hello');
  const { id } = await to.nextText();
  await to.send({ type: 'read', to: alice.id, id });
  const receipt = await from.next('onReadMessage');
  assert.equal(receipt.mid, serverMsgId);
  assert.equal(receipt.from, bob.id);
});

test('a conversation receipt reaches the other', async (t) => {
  const [alice, bob] = await stoa.people('alice', 'bob');
  const from = await alice.connect(t);
  const to = await bob.connect(t);
  await from.text(bob.id, 'hello');
  await to.nextText();
  await to.send({ type: 'channel', to: alice.id });
  assert.equal((await from.next('onChannelMessage')).from, bob.id);
});

test('receipts wait for a sender who is away', async (t) => {
  const [alice, bob] = await stoa.people('alice', 'bob');
  const from = await alice.connect(t, { device: 'phone' });
  const { serverMsgId } = await from.text(bob.id, 'hello');
  from.close();
  await alice.rest.gone(alice.id, from.resource);

  const to = await bob.connect(t, { delivery: true });
  const { id } = await to.nextText();
  await settled(to);
  await to.send({ type: 'read', to: alice.id, id });

  const back = await alice.connect(t, { device: 'phone' });
  assert.equal((await back.next('onDeliveredMessage')).mid, serverMsgId);
  assert.equal((await back.next('onReadMessage')).mid, serverMsgId);
});
