'use strict';

const assert = require('node:assert/strict');
const { test } = require('node:test');
const { until } = require('../lib/wait');
const { proves } = require('../lib/parity');
const { world } = require('../lib/world');

const stoa = world();

function texts(messages) {
  return messages.map(({ msg }) => msg);
}

// numbered sends the texts "1" to "n" and resolves with their ids.
async function numbered(client, to, n) {
  const sent = [];
  for (let i = 1; i <= n; i++) sent.push((await client.text(to, `${i}`)).serverMsgId);
  return sent;
}

async function everyPage(conn, options) {
  const all = [];
  for (let cursor, page = 0; ; page++) {
    const answer = await conn.getHistoryMessages({ ...options, cursor });
    all.push(...answer.messages);
    if (answer.isLast) return all;
    assert.ok(page < 100, 'history ends');
    cursor = answer.cursor;
  }
}

proves('getHistoryMessages', 'history is read in pages, either way', async (t) => {
  const [alice, bob] = await stoa.people('alice', 'bob');
  const from = await alice.connect(t);
  const to = await bob.connect(t);
  const sent = await numbered(from, bob.id, 7);
  await to.text(alice.id, 'answer');
  const target = { targetId: alice.id, chatType: 'singleChat', pageSize: 3 };

  const up = await everyPage(to.conn, target);
  assert.deepEqual(texts(up), ['answer', '7', '6', '5', '4', '3', '2', '1']);
  assert.deepEqual(up.map(({ from: sender }) => sender).slice(0, 2), [bob.id, alice.id]);
  assert.deepEqual(up.slice(1).map(({ id }) => id), [...sent].reverse());
  assert.deepEqual(texts(await everyPage(to.conn, { ...target, searchDirection: 'down' })), ['1', '2', '3', '4', '5', '6', '7', 'answer']);

  // A page may also begin at a message that one knows.
  const page = await to.conn.getHistoryMessages({ ...target, cursor: sent[3] });
  assert.deepEqual([texts(page.messages), page.isLast], [['3', '2', '1'], true]);
  assert.deepEqual(await to.conn.getHistoryMessages({ ...target, targetId: (await stoa.person('carol')).id }).then((p) => [p.messages, p.isLast]), [[], true]);
});

proves('getHistoryMessages', 'history is filtered by type and time, and leaves out what does not belong', async (t) => {
  const [alice, bob] = await stoa.people('alice', 'bob');
  const from = await alice.connect(t);
  const { conn } = await bob.connect(t);
  const send = (options) => from.send({ to: bob.id, ...options });
  await from.text(bob.id, 'text', { ext: { number: 1, deep: { a: [true] } } });
  await send({ type: 'cmd', action: 'typing' });
  await send({ type: 'loc', addr: 'street', buildingName: 'house', lat: 1.5, lng: 2 });
  await send({ type: 'custom', customEvent: 'event', customExts: { key: 'value' } });
  const target = { targetId: alice.id, chatType: 'singleChat', searchDirection: 'down' };

  const { messages } = await conn.getHistoryMessages(target);
  assert.deepEqual(messages.map(({ type }) => type), ['txt', 'loc', 'custom']);
  assert.deepEqual(messages[0].ext, { number: 1, deep: { a: [true] } });
  assert.deepEqual(messages[2].customExts, { key: 'value' });
  const only = async (searchOptions) => (await conn.getHistoryMessages({ ...target, searchOptions })).messages.map(({ type }) => type);
  assert.deepEqual(await only({ msgTypes: ['loc', 'txt'] }), ['txt', 'loc']);
  const [first, , last] = messages.map(({ time }) => time);
  assert.deepEqual(await only({ startTime: first, endTime: last }), ['txt', 'loc', 'custom']);
  assert.deepEqual(await only({ startTime: last + 1, endTime: last + 1000 }), []);
  assert.deepEqual(await only({ startTime: 1, endTime: first - 1 }), []);
});

proves('fetchHistoryMessages', 'the old call collects as many messages as are asked for', async (t) => {
  const [alice, bob] = await stoa.people('alice', 'bob');
  const from = await alice.connect(t);
  const to = await bob.connect(t);
  await numbered(from, bob.id, 25);
  const numbers = (low, high) => Array.from({ length: high - low + 1 }, (_, i) => `${low + i}`);
  const text = (m) => m.data ?? m.msg;

  const newest = await to.conn.fetchHistoryMessages({ queue: alice.id, count: 5 });
  assert.deepEqual(newest.map(text), numbers(21, 25));
  const older = await to.conn.fetchHistoryMessages({ queue: alice.id, count: 100 });
  assert.deepEqual(older.map(text), numbers(1, 20));
});

proves('removeHistoryMessages', 'messages are deleted for oneself, on all devices', async (t) => {
  const [alice, bob] = await stoa.people('alice', 'bob');
  const from = await alice.connect(t);
  const one = await bob.connect(t);
  const other = await bob.connect(t);
  const sent = await numbered(from, bob.id, 6);
  await one.count('onTextMessage', 6);
  const target = { targetId: alice.id, chatType: 'singleChat' };
  const history = async (conn) => texts((await conn.getHistoryMessages({ ...target, searchDirection: 'down' })).messages);
  const listed = async () => {
    const [c] = (await other.conn.getServerConversations()).data.conversations;
    return [c.lastMessage?.msg, c.unReadCount];
  };

  await one.conn.removeHistoryMessages({ ...target, messageIds: [sent[1], sent[5]] });
  const event = await other.next('onMultiDeviceEvent');
  assert.deepEqual([event.operation, event.conversationId], ['deleteRoaming', alice.id]);
  assert.deepEqual(await history(other.conn), ['1', '3', '4', '5']);
  assert.deepEqual(await listed(), ['5', 4]);

  const { time } = (await other.conn.getHistoryMessages({ ...target, searchDirection: 'down' })).messages[2];
  await one.conn.removeHistoryMessages({ ...target, beforeTimeStamp: time });
  await other.next('onMultiDeviceEvent');
  assert.deepEqual((await history(other.conn)).filter((text) => text < '5'), []);

  await one.conn.removeHistoryMessages({ ...target, beforeTimeStamp: Date.now() + 60_000 });
  assert.deepEqual(await listed(), [undefined, 0]);
  assert.deepEqual(texts((await from.conn.getHistoryMessages({ targetId: bob.id, chatType: 'singleChat', searchDirection: 'down' })).messages),
    ['1', '2', '3', '4', '5', '6']);
});

test('messages are found by their words, in any script', async (t) => {
  const [alice, bob, carol] = await stoa.people('alice', 'bob', 'carol');
  const from = await alice.connect(t);
  const sent = {};
  for (const text of ['Hello, World', '今天天气很好', 'Crème brûlée', 'สวัสดีครับ']) sent[text] = (await from.text(bob.id, text)).serverMsgId;
  await from.text(carol.id, 'hello Carol');
  const search = async (person, query) => {
    const { data } = await person.rest.ok('GET', `/users/${person.id}/messages/search?${new URLSearchParams(query)}`, { token: person.token });
    return data.msgs.map(({ message }) => message.payload.bodies[0].msg);
  };
  await until(async () => (await search(alice, { text: 'carol' })).length === 1, 'the last message is indexed');
  assert.deepEqual(await search(alice, { text: 'hello' }), ['hello Carol', 'Hello, World']);
  assert.deepEqual(await search(bob, { text: 'hel wor' }), ['Hello, World']);
  assert.deepEqual(await search(bob, { text: '天气' }), ['今天天气很好']);
  assert.deepEqual(await search(bob, { text: 'creme' }), ['Crème brûlée']);
  assert.deepEqual(await search(bob, { text: 'ครับ' }), ['สวัสดีครับ']);
  assert.deepEqual(await search(alice, { text: 'hello', to: carol.id, type: 'chat' }), ['hello Carol']);
  assert.deepEqual(await search(carol, { text: 'hello' }), ['hello Carol']);

  const { conn } = await bob.connect(t);
  await conn.removeHistoryMessages({ targetId: alice.id, chatType: 'singleChat', messageIds: [sent['Hello, World']] });
  assert.deepEqual(await search(bob, { text: 'hello' }), []);
  assert.deepEqual(await search(alice, { text: 'world' }), ['Hello, World']);
});
