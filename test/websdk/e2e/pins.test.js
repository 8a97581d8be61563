'use strict';

const assert = require('node:assert/strict');
const { test } = require('node:test');
const { GROUP, ROOM, clientOf, clients, found } = require('../lib/places');
const { proves } = require('../lib/parity');
const { world } = require('../lib/world');

const stoa = world();

// Each kind of conversation: how two clients get one, and how each of them names it.
const KINDS = {
  'a one-to-one chat': async ([alice, bob]) => ({
    say: async (msg) => (await alice.text(bob.user, msg)).serverMsgId,
    of: (client) => ({ conversationType: 'singleChat', conversationId: client.user === alice.user ? bob.user : alice.user }),
  }),
  'a group': (people) => inPlace(GROUP, people),
  'a room': (people) => inPlace(ROOM, people),
};

async function inPlace(words, people) {
  const place = await found(words, stoa.rest, people);
  return {
    say: async (msg) => (await place.say(people[0], msg)).serverMsgId,
    of: () => ({ conversationType: words.chatType, conversationId: place.target }),
  };
}

// pinned resolves with the pinned messages of a conversation as a client is shown them.
async function pinned(client, conversation, more = {}) {
  const { data } = await client.conn.getServerPinnedMessages({ ...conversation.of(client), ...more });
  return data;
}

for (const [kind, make] of Object.entries(KINDS)) {
  proves(['pinMessage', 'unpinMessage', 'getServerPinnedMessages'], `a message is pinned in ${kind}, and all hear of it`, async (t) => {
    const [alice, bob] = await clients(t, stoa, 'alice', 'bob');
    const conversation = await make([alice, bob]);
    const tablet = await clientOf(t, alice.person);
    if (kind === 'a room') await tablet.conn.joinChatRoom({ roomId: conversation.of(tablet).conversationId });
    const id = await conversation.say('keep this ☃');
    await bob.nextText();

    await bob.conn.pinMessage({ ...conversation.of(bob), messageId: id });
    for (const client of [alice, tablet]) {
      const { time, ...event } = await client.next('onMessagePinEvent');
      assert.ok(time > 0);
      assert.deepEqual(event, { ...conversation.of(client), messageId: id, operation: 'pin', operatorId: bob.user });
    }
    const { list, cursor } = await pinned(alice, conversation);
    assert.equal(cursor, '');
    assert.equal(list.length, 1);
    const [{ message, pinTime, operatorId }] = list;
    assert.ok(pinTime > 0);
    assert.deepEqual([message.id, message.type, message.msg, message.from, message.chatType, operatorId], [id, 'txt', 'keep this ☃', alice.user, conversation.of(bob).conversationType, bob.user]);

    await alice.conn.unpinMessage({ ...conversation.of(alice), messageId: id });
    const unpinned = await bob.next('onMessagePinEvent');
    assert.deepEqual([unpinned.operation, unpinned.messageId, unpinned.operatorId], ['unpin', id, alice.user]);
    assert.equal((await tablet.next('onMessagePinEvent')).operation, 'unpin');
    assert.deepEqual((await pinned(bob, conversation)).list, []);
    assert.equal(alice.all('onMessagePinEvent').length, 1, 'the device that acts is not told');
  });
}

proves('getServerPinnedMessages', 'pinned messages are listed page by page, the last pinned first, and twenty are the limit', async (t) => {
  const [alice, bob] = await clients(t, stoa, 'alice', 'bob');
  const conversation = await KINDS['a one-to-one chat']([alice, bob]);
  const ids = [];
  for (let i = 0; i < 21; i++) ids.push(await conversation.say(`message ${i}`));
  const pin = (messageId) => alice.conn.pinMessage({ ...conversation.of(alice), messageId });
  for (const id of ids.slice(0, 20)) await pin(id);
  await assert.rejects(pin(ids[20]), { type: 50 });
  await pin(ids[3]); // it is pinned already
  const listed = [];
  for (let cursor = '', pages = 0; pages === 0 || cursor !== ''; pages++) {
    const page = await pinned(bob, conversation, { pageSize: 8, cursor });
    assert.ok(pages < 3 && page.list.length <= 8);
    listed.push(...page.list.map(({ message }) => message.id));
    cursor = page.cursor;
  }
  assert.deepEqual(listed, ids.slice(0, 20).reverse());
});

test('a message that is recalled is not pinned any more', async (t) => {
  const [alice, bob] = await clients(t, stoa, 'alice', 'bob');
  const conversation = await KINDS['a one-to-one chat']([alice, bob]);
  const id = await conversation.say('oops');
  await bob.nextText();
  await bob.conn.pinMessage({ ...conversation.of(bob), messageId: id });
  await alice.conn.recallMessage({ mid: id, to: bob.user, chatType: 'singleChat' });
  await bob.next('onRecallMessage');
  assert.deepEqual((await pinned(bob, conversation)).list, []);
  await assert.rejects(bob.conn.pinMessage({ ...conversation.of(bob), messageId: id }), { type: 51 });
});

test('who was away hears of pins at login', async (t) => {
  const [alice, bob] = await clients(t, stoa, 'alice', 'bob');
  const conversation = await KINDS['a group']([alice, bob]);
  const id = await conversation.say('keep this');
  await bob.nextText();
  bob.close();
  await bob.person.rest.gone(bob.user, bob.resource);
  await alice.conn.pinMessage({ ...conversation.of(alice), messageId: id });
  const back = await bob.person.connect(t);
  assert.equal((await back.next('onMessagePinEvent')).messageId, id);
});

test('pins are refused with their codes', async (t) => {
  const [alice, bob, carol] = await clients(t, stoa, 'alice', 'bob', 'carol');
  const chat = await KINDS['a one-to-one chat']([alice, bob]);
  const id = await chat.say('here');
  const pin = (client, where, messageId = id) => client.conn.pinMessage({ ...where, messageId });
  await assert.rejects(pin(alice, chat.of(alice), '77'), { type: 51 });
  await assert.rejects(pin(alice, chat.of(alice), 'x'), { type: -3 });
  await assert.rejects(pin(alice, { conversationType: 'singleChat', conversationId: carol.user }), { type: 51 });
  await assert.rejects(alice.conn.unpinMessage({ ...chat.of(alice), messageId: id }), { type: 51 });
  for (const [kind, stranger, nowhere] of [['a group', 602, 605], ['a room', 702, 705]]) {
    const place = await KINDS[kind]([alice, bob]);
    const there = await place.say('there');
    await assert.rejects(pin(carol, place.of(carol), there), { type: stranger });
    await assert.rejects(pinned(carol, place), { type: stranger });
    await assert.rejects(pin(alice, { ...place.of(alice), conversationId: '123456' }, there), { type: nowhere });
    await assert.rejects(pin(alice, chat.of(alice), there), { type: 51 });
  }
  await stoa.rest.change(t, { pins: false });
  await assert.rejects(pin(alice, chat.of(alice)), { type: 505 });
  await assert.rejects(pinned(alice, chat), { type: 505 });
});

proves('reportMessage', 'a message is reported to the backend, from every kind of conversation', async (t) => {
  const [alice, bob, carol] = await clients(t, stoa, 'alice', 'bob', 'carol');
  const wanted = [];
  for (const make of Object.values(KINDS)) {
    const conversation = await make([alice, bob]);
    const id = await conversation.say(`nasty ${wanted.length}`);
    const report = (client, messageId) => client.conn.reportMessage({ reportType: 'spam', reportReason: 'bad ☃', messageId });
    await report(bob, id);
    wanted.unshift([bob.user, 'spam', 'bad ☃', id, `nasty ${wanted.length}`]);
    await assert.rejects(report(carol, id), ({ type }) => [51, 602, 702].includes(type));
  }
  const { data } = await stoa.rest.admin('GET', '/moderation/reports?limit=3');
  const seen = data.map(({ username, reportType, reportReason, message }) => [username, reportType, reportReason, message.id, message.payload.bodies[0].msg]);
  assert.deepEqual(seen, wanted);
});

test('reports are refused with their codes', async (t) => {
  const [alice, bob] = await clients(t, stoa, 'alice', 'bob');
  const { serverMsgId } = await bob.text(alice.user, 'nasty');
  const report = (messageId, reportReason = 'bad') => alice.conn.reportMessage({ reportType: 'spam', reportReason, messageId });
  await assert.rejects(report('77'), { type: 51 });
  await assert.rejects(report(serverMsgId, 'x'.repeat(513)), { type: 50 });
  await stoa.rest.change(t, { reports: false });
  await assert.rejects(report(serverMsgId), { type: 505 });
});
