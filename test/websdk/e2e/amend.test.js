'use strict';

const assert = require('node:assert/strict');
const { test } = require('node:test');
const { proves } = require('../lib/parity');
const { refused } = require('../lib/refused');
const { until } = require('../lib/wait');
const { world } = require('../lib/world');

const stoa = world();

async function pair(t) {
  const [alice, bob] = await stoa.people('alice', 'bob');
  return { alice, bob, from: await alice.connect(t), laptop: await alice.connect(t), to: await bob.connect(t) };
}

// away resolves when a person's phone is known to the server, and offline.
async function away(t, person) {
  const phone = await person.connect(t, { device: 'phone' });
  phone.close();
  await person.rest.gone(person.id, phone.resource);
}

function recall(client, to, mid, ext) {
  return client.conn.recallMessage({ mid, to, chatType: 'singleChat', ext });
}

function edit(client, to, messageId, options) {
  return client.conn.modifyMessage({ messageId, modifiedMessage: client.message({ type: 'txt', to, ...options }) });
}

proves('recallMessage', 'a recall reaches the receiver and the other devices of the sender', async (t) => {
  const { alice, bob, from, laptop, to } = await pair(t);
  const { serverMsgId } = await from.text(bob.id, 'a slip');
  await to.nextText('a slip');
  await laptop.nextText('a slip');
  await recall(from, bob.id, serverMsgId, 'wrong window');
  for (const client of [to, laptop]) {
    const event = await client.next('onRecallMessage');
    assert.equal(event.mid, serverMsgId);
    assert.equal(event.from, alice.id);
    assert.equal(event.to, bob.id);
    assert.equal(event.ext, 'wrong window');
  }
  await recall(from, bob.id, serverMsgId); // again: it is recalled, and that is no error
  assert.deepEqual(from.all('onRecallMessage'), []);
});

test('a device that was away does not show what was recalled', async (t) => {
  const [alice, carol] = await stoa.people('alice', 'carol');
  const from = await alice.connect(t);
  await away(t, carol);
  const { serverMsgId } = await from.text(carol.id, 'a slip');
  await from.text(carol.id, 'meant');
  await recall(from, carol.id, serverMsgId);
  const back = await carol.connect(t, { device: 'phone' });
  await back.nextText('meant');
  assert.equal((await back.next('onRecallMessage')).mid, serverMsgId);
  assert.deepEqual(back.texts(), ['meant']);
});

test('what may not be recalled is refused with its code', async (t) => {
  const { alice, bob, from, to } = await pair(t);
  const { serverMsgId } = await from.text(bob.id, 'to stay');
  await to.nextText();
  assert.equal((await refused(recall(to, alice.id, serverMsgId), "recalling another's message")).type, 603);
  assert.equal((await refused(recall(from, bob.id, '77'), 'recalling nothing')).type, 503);
  await stoa.rest.change(t, { recall_seconds: 1 });
  const old = await from.text(bob.id, 'soon too old');
  await until(() => Date.now() - old.message.time > 1100, 'end of the time in which it can be recalled');
  assert.equal((await refused(recall(from, bob.id, old.serverMsgId), 'recalling too late')).type, 504);
  await stoa.rest.change(t, { recall: false });
  assert.equal((await refused(recall(from, bob.id, serverMsgId), 'recalling where that is off')).type, 505);
});

proves('modifyMessage', 'an edit reaches the receiver and the other devices of the sender', async (t) => {
  const { alice, bob, from, laptop, to } = await pair(t);
  const sent = await from.text(bob.id, 'helo', { ext: { kept: true } });
  await to.nextText('helo');
  const { message } = await edit(from, bob.id, sent.serverMsgId, { msg: 'hello' });
  assert.equal(message.id, sent.serverMsgId);
  assert.equal(message.modifiedInfo.operationCount, 1);
  assert.equal(message.modifiedInfo.operatorId, alice.id);
  for (const client of [to, laptop]) {
    const event = await client.next('onModifiedMessage');
    assert.equal(event.id, sent.serverMsgId);
    assert.equal(event.msg, 'hello');
    assert.equal(event.from, alice.id);
    assert.equal(event.to, bob.id);
    assert.equal(event.chatType, 'singleChat');
    assert.equal(event.time, sent.message.time);
    assert.equal(event.modifiedInfo.operatorId, alice.id);
    assert.equal(event.modifiedInfo.operationCount, 1);
    assert.ok(event.modifiedInfo.operationTime >= sent.message.time);
  }
  const custom = await from.send({ type: 'custom', to: bob.id, customEvent: 'a', customExts: { n: 1 } });
  await from.conn.modifyMessage({
    messageId: custom.serverMsgId,
    modifiedMessage: from.message({ type: 'custom', to: bob.id, customEvent: 'b', customExts: { n: 2 }, ext: { new: 'yes' } }),
  });
  const event = await to.next('onModifiedMessage');
  assert.equal(event.customEvent, 'b');
  assert.deepEqual(event.ext, { new: 'yes' });
});

test('a device that was away is given the edited text', async (t) => {
  const [alice, carol] = await stoa.people('alice', 'carol');
  const from = await alice.connect(t);
  await away(t, carol);
  const { serverMsgId } = await from.text(carol.id, 'helo');
  await edit(from, carol.id, serverMsgId, { msg: 'hello' });
  const back = await carol.connect(t, { device: 'phone' });
  const message = await back.nextText();
  assert.equal(message.msg, 'hello');
  assert.equal(message.id, serverMsgId);
  assert.equal(message.modifiedInfo.operationCount, 1);
});

test('what may not be edited is refused with its code', async (t) => {
  const { alice, bob, from, to } = await pair(t);
  const { serverMsgId } = await from.text(bob.id, 'v0');
  await to.nextText();
  assert.equal((await refused(edit(to, alice.id, serverMsgId, { msg: 'x' }), "editing another's message")).type, 603);
  assert.equal((await refused(edit(from, bob.id, '77', { msg: 'x' }), 'editing nothing')).type, 1302);
  const other = from.message({ type: 'custom', to: bob.id, customEvent: 'x', customExts: {} });
  assert.equal((await refused(from.conn.modifyMessage({ messageId: serverMsgId, modifiedMessage: other }), 'another kind')).type, 1303);
  for (let i = 1; i <= 10; i++) await edit(from, bob.id, serverMsgId, { msg: `v${i}` });
  assert.equal((await refused(edit(from, bob.id, serverMsgId, { msg: 'v11' }), 'the eleventh edit')).type, 50);
  await stoa.rest.change(t, { edit: false });
  assert.equal((await refused(edit(from, bob.id, serverMsgId, { msg: 'x' }), 'editing where that is off')).type, 505);
});
