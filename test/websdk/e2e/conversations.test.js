'use strict';

const assert = require('node:assert/strict');
const { until } = require('../lib/wait');
const { proves } = require('../lib/parity');
const { world } = require('../lib/world');

const stoa = world();

// two connects a person on two devices.
async function two(t, person) {
  return [await person.connect(t), await person.connect(t)];
}

// told resolves with what a device hears of another one of the same user.
function told(client, operation, conversationId) {
  return client.next('onMultiDeviceEvent', (event) => event.operation === operation && event.conversationId === conversationId);
}

// quiet asserts that a device has not been told of its own doings: what it hears of later has come.
async function quiet(client, other, id) {
  await other.conn.addConversationMark({ conversations: [{ conversationId: id, conversationType: 'singleChat' }], mark: 19 });
  await told(client, 'markConversation', id);
  const heard = client.all('onMultiDeviceEvent').filter((event) => event.conversationMark !== 19);
  assert.deepEqual(heard, []);
}

async function conversations(client, options) {
  return (await client.conn.getServerConversations(options)).data;
}

function ids(page) {
  return page.conversations.map(({ conversationId }) => conversationId);
}

// talk sends a text from each of the people to the first one, one after another.
async function talk(t, to, ...people) {
  for (const person of people) {
    const client = await person.connect(t);
    await client.text(to.id, `from ${person.id}`);
  }
}

proves('getServerConversations', 'conversations are listed with last message, unread messages and pages', async (t) => {
  const [alice, bob, carol, dave] = await stoa.people('alice', 'bob', 'carol', 'dave');
  await talk(t, alice, bob, carol, dave, bob);
  const client = await alice.connect(t);
  await client.count('onTextMessage', 4);

  const page = await conversations(client, { pageSize: 2, cursor: '' });
  assert.deepEqual(ids(page), [bob.id, dave.id]);
  const [first] = page.conversations;
  assert.equal(first.conversationType, 'singleChat');
  assert.equal(first.unReadCount, 2);
  assert.equal(first.isPinned, false);
  assert.deepEqual([first.lastMessage.type, first.lastMessage.msg, first.lastMessage.from, first.lastMessage.to], ['txt', `from ${bob.id}`, bob.id, alice.id]);
  const rest = await conversations(client, { pageSize: 2, cursor: page.cursor });
  assert.deepEqual(ids(rest), [carol.id]);
  assert.equal(rest.cursor, '');

  // The other side has it, too, and nothing to read.
  const other = await bob.connect(t);
  const [mine] = (await conversations(other)).conversations;
  assert.deepEqual([mine.conversationId, mine.unReadCount], [alice.id, 0]);
});

proves(['getConversationlist', 'getSessionList'], 'the old lists have the same', async (t) => {
  const [alice, bob, carol] = await stoa.people('alice', 'bob', 'carol');
  await talk(t, alice, bob, carol);
  const { conn } = await alice.connect(t);
  const channel = (person) => `${stoa.appKey}_${person.id}@easemob.com`;

  const list = (await conn.getConversationlist()).data.channel_infos;
  assert.deepEqual(list.map((c) => [c.channel_id, c.unread_num]), [[channel(carol), 1], [channel(bob), 1]]);
  assert.equal(list[0].lastMessage.msg, `from ${carol.id}`);
  const second = (await conn.getConversationlist({ pageNum: 2, pageSize: 1 })).data.channel_infos;
  assert.deepEqual(second.map((c) => c.channel_id), [channel(bob)]);

  const raw = (await conn.getSessionList()).data.channel_infos;
  assert.equal(JSON.parse(raw[0].meta.payload).bodies[0].msg, `from ${carol.id}`);
});

proves('pinConversation', 'a pinned conversation is pinned on all devices', async (t) => {
  const [alice, bob, carol] = await stoa.people('alice', 'bob', 'carol');
  await talk(t, alice, bob, carol);
  const [one, other] = await two(t, alice);
  const pin = (id, isPinned) => one.conn.pinConversation({ conversationId: id, conversationType: 'singleChat', isPinned });

  const { data } = await pin(bob.id, true);
  assert.equal(data.isPinned, true);
  assert.ok(data.pinnedTime > 0);
  const event = await told(other, 'pinnedConversation', bob.id);
  assert.equal(event.conversationType, 'singleChat');
  const listed = (await conversations(other)).conversations.find(({ conversationId }) => conversationId === bob.id);
  assert.deepEqual([listed.isPinned, listed.pinnedTime], [true, data.pinnedTime]);

  assert.equal((await pin(bob.id, false)).data.isPinned, false);
  await told(other, 'unpinnedConversation', bob.id);
  assert.ok((await conversations(other)).conversations.every(({ isPinned }) => !isPinned));
  await quiet(one, other, bob.id);

  const dave = await stoa.person('dave');
  await assert.rejects(pin(dave.id, true), { type: 1400 });
  await assert.rejects(pin((await stoa.stranger('nobody')).id, true), { type: 204 });
});

proves('getServerPinnedConversations', 'pinned conversations are listed, the last pinned first', async (t) => {
  const [alice, bob, carol, dave] = await stoa.people('alice', 'bob', 'carol', 'dave');
  await talk(t, alice, bob, carol, dave);
  const { conn } = await alice.connect(t);
  for (const person of [carol, bob]) await conn.pinConversation({ conversationId: person.id, conversationType: 'singleChat', isPinned: true });
  const first = (await conn.getServerPinnedConversations({ pageSize: 1, cursor: '' })).data;
  assert.deepEqual(ids(first), [bob.id]);
  assert.equal(first.conversations[0].lastMessage.msg, `from ${bob.id}`);
  const second = (await conn.getServerPinnedConversations({ pageSize: 1, cursor: first.cursor })).data;
  assert.deepEqual([ids(second), second.cursor], [[carol.id], '']);
});

proves(['addConversationMark', 'removeConversationMark', 'getServerConversationsByFilter'], 'conversations are marked and found by their marks', async (t) => {
  const [alice, bob, carol] = await stoa.people('alice', 'bob', 'carol');
  await talk(t, alice, bob, carol);
  const [one, other] = await two(t, alice);
  const named = (...people) => people.map(({ id }) => ({ conversationId: id, conversationType: 'singleChat' }));
  const marked = async (mark) => ids((await other.conn.getServerConversationsByFilter({ pageSize: 10, cursor: '', filter: { mark } })).data);

  await one.conn.addConversationMark({ conversations: named(bob, carol), mark: 3 });
  for (const { id } of [bob, carol]) assert.equal((await told(other, 'markConversation', id)).conversationMark, 3);
  await one.conn.addConversationMark({ conversations: named(bob), mark: 0 });
  assert.deepEqual(await marked(3), [carol.id, bob.id]);
  assert.deepEqual(await marked(0), [bob.id]);
  const listed = (await conversations(other)).conversations.find(({ conversationId }) => conversationId === bob.id);
  assert.deepEqual(listed.marks, [0, 3]);

  await one.conn.removeConversationMark({ conversations: named(bob), mark: 3 });
  assert.equal((await told(other, 'unMarkConversation', bob.id)).conversationMark, 3);
  assert.deepEqual(await marked(3), [carol.id]);

  const stranger = await stoa.person('stranger');
  await assert.rejects(one.conn.addConversationMark({ conversations: named(stranger), mark: 1 }), { type: 1400 });
  await one.conn.addConversationMark({ conversations: named(stranger, bob), mark: 1 });
  assert.deepEqual(await marked(1), [bob.id]);
});

for (const name of ['deleteConversation', 'deleteSession']) {
  proves(name, `${name} takes a conversation off the list until there is a new message`, async (t) => {
    const [alice, bob] = await stoa.people('alice', 'bob');
    const from = await bob.connect(t);
    const [one, other] = await two(t, alice);
    await from.text(alice.id, 'first');
    const remove = (deleteRoam) => one.conn[name]({ channel: bob.id, chatType: 'singleChat', deleteRoam });
    const history = async () => (await other.conn.getHistoryMessages({ targetId: bob.id, chatType: 'singleChat' })).messages.map(({ msg }) => msg);

    await remove(false);
    assert.equal((await told(other, 'deleteConversation', bob.id)).conversationType, 'singleChat');
    assert.deepEqual(ids(await conversations(other)), []);
    assert.deepEqual(await history(), ['first']);
    assert.deepEqual(ids(await conversations(from)), [alice.id]);

    await from.text(alice.id, 'second');
    const [again] = (await conversations(other)).conversations;
    assert.deepEqual([again.conversationId, again.unReadCount, again.lastMessage.msg], [bob.id, 1, 'second']);

    await remove(true);
    assert.deepEqual(ids(await conversations(other)), []);
    assert.deepEqual(await history(), []);
    await from.text(alice.id, 'third');
    assert.deepEqual(await history(), ['third']);
    await quiet(one, other, bob.id);
  });
}

proves('deleteAllMessagesAndConversations', 'all messages and conversations are deleted for oneself', async (t) => {
  const [alice, bob, carol] = await stoa.people('alice', 'bob', 'carol');
  await talk(t, alice, bob, carol);
  const [one, other] = await two(t, alice);
  await one.conn.deleteAllMessagesAndConversations();
  for (const { id } of [bob, carol]) await told(other, 'deleteConversation', id);
  assert.deepEqual(ids(await conversations(other)), []);
  assert.deepEqual((await other.conn.getHistoryMessages({ targetId: bob.id, chatType: 'singleChat' })).messages, []);

  const from = await bob.connect(t);
  assert.equal((await from.conn.getHistoryMessages({ targetId: alice.id, chatType: 'singleChat' })).messages.length, 1);
  await from.text(alice.id, 'anew');
  assert.deepEqual(ids(await conversations(other)), [bob.id]);
});

proves('getServerConversations', 'what is read on one device is read on all', async (t) => {
  const [alice, bob] = await stoa.people('alice', 'bob');
  const from = await bob.connect(t);
  const [one, other] = await two(t, alice);
  for (const text of ['one', 'two', 'three']) await from.text(alice.id, text);
  await one.nextText('three');
  const unread = async () => (await conversations(other)).conversations[0].unReadCount;
  assert.equal(await unread(), 3);
  await one.send({ type: 'channel', to: bob.id });
  await from.next('onChannelMessage');
  assert.equal(await unread(), 0);
  await from.text(alice.id, 'four');
  await until(async () => (await unread()) === 1, 'the new message counts');
  await one.text(bob.id, 'own');
  assert.equal(await unread(), 1);
});
