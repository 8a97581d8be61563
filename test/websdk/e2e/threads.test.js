'use strict';

// Threads under group messages. Any member of the group sees them; who joined one writes and reads in it.

const assert = require('node:assert/strict');
const { test } = require('node:test');
const { GROUP, clientOf, clients, found } = require('../lib/places');
const { proves } = require('../lib/parity');
const { world } = require('../lib/world');

const stoa = world();

// topic makes a group of alice, bob and carol, and a thread of bob's under a message of alice's.
async function topic(t) {
  const [alice, bob, carol] = await clients(t, stoa, 'alice', 'bob', 'carol');
  const place = await found(GROUP, stoa.rest, [alice, bob, carol]);
  const messageId = await told(place, alice, [bob, carol], 'what shall we eat?');
  const { data } = await bob.conn.createChatThread({ parentId: place.target, name: 'dinner', messageId });
  return { place, alice, bob, carol, messageId, id: data.chatThreadId };
}

// told sends a message to the group and returns its id when the others have it.
async function told(place, from, others, text) {
  const { serverMsgId } = await place.say(from, text);
  for (const client of others) await client.nextText(text);
  return serverMsgId;
}

const changed = (client, id, operation) => client.next('onChatThreadChange', (e) => e.id === id && e.operation === operation);
const elsewhere = (client, id, operation) => client.next('onMultiDeviceEvent', (e) => e.chatThreadId === id && e.operation === operation);
const say = (client, id, msg) => client.send({ type: 'txt', chatType: 'groupChat', isChatThread: true, to: id, msg });
const names = (rows) => rows.map(({ id }) => id);

proves(['createChatThread', 'getChatThreadDetail'], 'a thread under a message is told to the group', async (t) => {
  const [alice, bob, carol] = await clients(t, stoa, 'alice', 'bob', 'carol');
  const place = await found(GROUP, stoa.rest, [alice, bob, carol]);
  const messageId = await told(place, alice, [bob, carol], 'what shall we eat?');
  const tablet = await clientOf(t, bob.person);
  const { data } = await bob.conn.createChatThread({ parentId: place.target, name: 'dinner ☃', messageId });
  const id = data.chatThreadId;
  for (const client of [alice, carol]) {
    const event = await changed(client, id, 'create');
    assert.deepEqual([event.name, event.parentId, event.messageId, event.operator], ['dinner ☃', place.target, messageId, bob.user]);
  }
  const own = await elsewhere(tablet, id, 'chatThreadCreate');
  assert.deepEqual([own.chatThreadName, own.parentId], ['dinner ☃', place.target]);
  const detail = (await carol.conn.getChatThreadDetail({ chatThreadId: id })).data;
  assert.deepEqual([detail.id, detail.name, detail.owner, detail.parentId, detail.messageId, detail.affiliationsCount],
    [id, 'dinner ☃', bob.user, place.target, messageId, 1]);
});

proves('createChatThread', 'a message has one thread, and it takes a member and a message of the group', async (t) => {
  const { place, alice, carol, messageId } = await topic(t);
  const create = (client, more) => client.conn.createChatThread({ parentId: place.target, name: 'again', messageId, ...more });
  await assert.rejects(create(carol), { type: 1301 });
  const [stranger] = await clients(t, stoa, 'stranger');
  await assert.rejects(create(stranger), { type: 602 });
  await assert.rejects(create(alice, { messageId: '123456789' }), { type: 51 });
  await assert.rejects(create(alice, { parentId: '281474976710655' }), { type: 605 });
  const { serverMsgId } = await alice.text(carol.user, 'not in the group');
  await assert.rejects(create(alice, { messageId: serverMsgId }), { type: 51 });
  const another = await told(place, alice, [carol], 'another');
  await assert.rejects(create(alice, { messageId: another, name: 'x'.repeat(65) }), { type: 50 });
});

proves(['joinChatThread', 'getChatThreadMembers', 'leaveChatThread'], 'members of the group join a thread, write in it, and leave', async (t) => {
  const { place, alice, bob, carol, messageId, id } = await topic(t);
  const tablet = await clientOf(t, carol.person);
  await assert.rejects(say(carol, id, 'not yet'), { type: 602 });
  const { data } = await carol.conn.joinChatThread({ chatThreadId: id });
  assert.deepEqual([data.detail.id, data.detail.parentId, data.detail.messageId], [id, place.target, messageId]);
  assert.equal((await elsewhere(tablet, id, 'chatThreadJoin')).parentId, place.target);
  await alice.conn.joinChatThread({ chatThreadId: id });

  await say(carol, id, 'soup');
  for (const client of [alice, bob, tablet]) {
    const message = await client.nextText('soup');
    assert.deepEqual([message.to, message.chatThread], [id, { chatThreadName: 'dinner', messageId, parentId: place.target }]);
  }
  const members = async (cursor) => bob.conn.getChatThreadMembers({ chatThreadId: id, pageSize: 2, cursor });
  const first = await members();
  assert.deepEqual(first.data.affiliations, [bob.user, carol.user]);
  assert.deepEqual((await members(first.properties.cursor)).data.affiliations, [alice.user]);

  await carol.conn.leaveChatThread({ chatThreadId: id });
  assert.equal((await elsewhere(tablet, id, 'chatThreadLeave')).chatThreadName, 'dinner');
  await assert.rejects(say(carol, id, 'no more'), { type: 602 });
  await say(bob, id, 'without carol');
  await alice.nextText('without carol');
  await told(place, alice, [carol], 'the group goes on');
  assert.ok(!carol.texts().includes('without carol'));
  await assert.rejects(carol.conn.joinChatThread({ chatThreadId: '281474976710655' }), { type: 1300 });
  const [stranger] = await clients(t, stoa, 'stranger');
  await assert.rejects(stranger.conn.joinChatThread({ chatThreadId: id }), { type: 602 });
});

proves('changeChatThreadName', 'the creator and the admins of the group rename a thread', async (t) => {
  const { place, alice, bob, carol, id } = await topic(t);
  const tablet = await clientOf(t, bob.person);
  await assert.rejects(carol.conn.changeChatThreadName({ chatThreadId: id, name: 'mine' }), { type: 603 });
  for (const [by, name] of [[bob, 'supper'], [alice, 'late supper']]) {
    assert.equal((await by.conn.changeChatThreadName({ chatThreadId: id, name })).data.name, name);
    const event = await changed(carol, id, 'update');
    assert.deepEqual([event.name, event.operator, event.parentId], [name, by.user, place.target]);
  }
  assert.equal((await elsewhere(tablet, id, 'chatThreadNameUpdate')).chatThreadName, 'supper');
  assert.equal((await carol.conn.getChatThreadDetail({ chatThreadId: id })).data.name, 'late supper');
});

proves('removeChatThreadMember', 'an admin of the group puts a member out of a thread', async (t) => {
  const { place, alice, bob, carol, id } = await topic(t);
  await carol.conn.joinChatThread({ chatThreadId: id });
  await assert.rejects(bob.conn.removeChatThreadMember({ chatThreadId: id, username: carol.user }), { type: 603 });
  await alice.conn.removeChatThreadMember({ chatThreadId: id, username: carol.user });
  const event = await changed(carol, id, 'userRemove');
  assert.deepEqual([event.name, event.parentId, event.operator, event.userName], ['dinner', place.target, alice.user, carol.user]);
  await assert.rejects(say(carol, id, 'no more'), { type: 602 });
  await carol.conn.joinChatThread({ chatThreadId: id });
});

proves('destroyChatThread', 'a destroyed thread is gone for all', async (t) => {
  const { place, alice, bob, carol, messageId, id } = await topic(t);
  const tablet = await clientOf(t, alice.person);
  await assert.rejects(carol.conn.destroyChatThread({ chatThreadId: id }), { type: 603 });
  await alice.conn.destroyChatThread({ chatThreadId: id });
  for (const client of [bob, carol]) assert.equal((await changed(client, id, 'destroy')).parentId, place.target);
  await elsewhere(tablet, id, 'chatThreadDestroy');
  await assert.rejects(bob.conn.getChatThreadDetail({ chatThreadId: id }), { type: 1300 });
  await assert.rejects(say(bob, id, 'to nowhere'), { type: 605 });
  await carol.conn.createChatThread({ parentId: place.target, name: 'once more', messageId });
});

proves(['getChatThreads', 'getJoinedChatThreads', 'getChatThreadLastMessage'], 'threads are listed page by page, with their last messages', async (t) => {
  const { place, alice, bob, carol, id: first } = await topic(t);
  const ids = [first];
  for (const text of ['second', 'third']) {
    const messageId = await told(place, alice, [bob, carol], text);
    ids.push((await carol.conn.createChatThread({ parentId: place.target, name: text, messageId })).data.chatThreadId);
  }
  const newest = [...ids].reverse();
  const pages = async (ask) => {
    const seen = [];
    for (let cursor; ; ) {
      const page = await ask(cursor);
      seen.push(...page.entities);
      cursor = page.properties.cursor;
      if (page.entities.length === 0 || !cursor) return seen;
    }
  };
  const all = await pages((cursor) => alice.conn.getChatThreads({ parentId: place.target, pageSize: 2, cursor }));
  assert.deepEqual(names(all), newest);
  assert.deepEqual([all[2].name, all[2].owner, all[2].parentId], ['dinner', bob.user, place.target]);
  assert.deepEqual(names(await pages((cursor) => carol.conn.getJoinedChatThreads({ pageSize: 1, cursor }))), newest.slice(0, 2));
  assert.deepEqual(names(await pages((cursor) => bob.conn.getJoinedChatThreads({ parentId: place.target, pageSize: 20, cursor }))), [first]);

  await say(bob, first, 'soup');
  const { serverMsgId } = await say(bob, first, 'or bread');
  const event = await alice.next('onChatThreadChange', (e) => e.operation === 'update' && e.messageCount === 2);
  assert.equal(event.lastMessage.msg, 'or bread');
  const last = (await alice.conn.getChatThreadLastMessage({ chatThreadIds: [first, ids[1]] })).entities;
  assert.deepEqual(last.map(({ chatThreadId, lastMessage }) => [chatThreadId, lastMessage?.id, lastMessage?.msg]), [[first, serverMsgId, 'or bread'], [ids[1], undefined, undefined]]);
  await bob.conn.recallMessage({ mid: serverMsgId, to: first, chatType: 'groupChat' });
  await alice.next('onChatThreadChange', (e) => e.operation === 'update' && e.messageCount === 1 && e.lastMessage.msg === 'soup');
});

test('the history of the group tells of threads', async (t) => {
  const { place, alice, bob, carol, messageId, id } = await topic(t);
  const plain = await told(place, alice, [bob, carol], 'without a thread');
  await say(bob, id, 'soup');
  const { messages } = await carol.conn.getHistoryMessages({ targetId: place.target, chatType: 'groupChat', pageSize: 10 });
  const overview = messages.find((message) => message.id === messageId).chatThreadOverview;
  assert.deepEqual([overview.id, overview.parentId, overview.name, overview.messageCount, overview.lastMessage.msg], [id, place.target, 'dinner', 1, 'soup']);
  assert.equal(messages.find((message) => message.id === plain).chatThreadOverview, undefined);
});

test('who leaves the group leaves its threads, and they end with it', async (t) => {
  const { place, alice, bob, carol, id } = await topic(t);
  await carol.conn.joinChatThread({ chatThreadId: id });
  await place.ask(carol, 'leaveGroup');
  await assert.rejects(say(carol, id, 'no more'), { type: 602 });
  assert.deepEqual((await bob.conn.getChatThreadMembers({ chatThreadId: id })).data.affiliations, [bob.user]);
  await place.ask(alice, 'destroyGroup');
  await place.heard(bob, 'destroy');
  await assert.rejects(say(bob, id, 'to nowhere'), { type: 605 });
  assert.deepEqual((await bob.conn.getJoinedChatThreads({ pageSize: 20 })).entities, []);
});

test('a thread is not ended by the recall of its message', async (t) => {
  const { alice, bob, carol, place, messageId, id } = await topic(t);
  await alice.conn.recallMessage({ mid: messageId, to: place.target, chatType: 'groupChat' });
  await carol.next('onRecallMessage');
  await say(bob, id, 'still here');
  assert.equal((await carol.conn.getChatThreadDetail({ chatThreadId: id })).data.messageId, messageId);
});
