'use strict';

// History and conversation lists of groups, chatrooms and threads, and of messages that change.

const assert = require('node:assert/strict');
const { GROUP, ROOM, clientOf, clients, found } = require('../lib/places');
const { proves } = require('../lib/parity');
const { until } = require('../lib/wait');
const { world } = require('../lib/world');

const stoa = world();

// history resolves with the texts that a client reads in a place, oldest first.
async function history(client, targetId, chatType, more = {}) {
  const { messages } = await client.conn.getHistoryMessages({ targetId, chatType, searchDirection: 'down', pageSize: 50, ...more });
  return messages.map(({ msg }) => msg);
}

async function conversation(client, id) {
  const { conversations } = (await client.conn.getServerConversations()).data;
  return conversations.find(({ conversationId }) => conversationId === id);
}

proves(['getHistoryMessages', 'fetchHistoryMessages'], 'a member of a group reads what came while being one', async (t) => {
  const [alice, bob, carol] = await clients(t, stoa, 'alice', 'bob', 'carol');
  const group = await found(GROUP, stoa.rest, [alice, bob]);
  await group.say(alice, 'before carol');
  await stoa.rest.admin('POST', `/chatgroups/${group.target}/users/${carol.user}`);
  await group.heard(carol, 'directJoined');
  await group.say(alice, 'with carol');
  await group.say(bob, 'also with carol');
  await group.say(alice, 'for bob only', { receiverList: [bob.user] });
  await carol.nextText('also with carol');
  await stoa.rest.admin('DELETE', `/chatgroups/${group.target}/users/${carol.user}`);
  await group.heard(carol, 'removeMember');
  await group.say(alice, 'after carol');

  const all = ['before carol', 'with carol', 'also with carol', 'for bob only', 'after carol'];
  assert.deepEqual(await history(bob, group.target, 'groupChat'), all);
  assert.deepEqual(await history(alice, group.target, 'groupChat'), all);
  assert.deepEqual(await history(carol, group.target, 'groupChat'), ['with carol', 'also with carol']);
  assert.deepEqual(await history(bob, group.target, 'groupChat', { searchOptions: { from: alice.user } }), all.filter((text) => text !== 'also with carol'));
  assert.deepEqual(await history(bob, group.target, 'groupChat', { searchOptions: { from: carol.user } }), []);
  const old = await bob.conn.fetchHistoryMessages({ queue: group.target, isGroup: true, count: 2 });
  assert.deepEqual(old.map((m) => m.data ?? m.msg), all.slice(-2));

  const [stranger] = await clients(t, stoa, 'stranger');
  await assert.rejects(history(stranger, group.target, 'groupChat'), { type: 602 });
  await assert.rejects(history(stranger, '281474976710655', 'groupChat'), { type: 605 });
});

proves('getHistoryMessages', 'who is in a chatroom reads all of it', async (t) => {
  const [alice, bob, carol] = await clients(t, stoa, 'alice', 'bob', 'carol');
  const room = await found(ROOM, stoa.rest, [alice, bob]);
  await room.say(alice, 'first');
  await room.say(bob, 'second');
  await assert.rejects(history(carol, room.target, 'chatRoom'), { type: 702 });
  await carol.conn.joinChatRoom({ roomId: room.target });
  assert.deepEqual(await history(carol, room.target, 'chatRoom'), ['first', 'second']);
  assert.equal(await conversation(carol, room.target), undefined);
});

proves('getHistoryMessages', 'who is in a thread reads all of it, and it is no conversation of the list', async (t) => {
  const [alice, bob, carol] = await clients(t, stoa, 'alice', 'bob', 'carol');
  const group = await found(GROUP, stoa.rest, [alice, bob, carol]);
  const { serverMsgId } = await group.say(alice, 'parent');
  await bob.nextText('parent');
  const { data } = await bob.conn.createChatThread({ parentId: group.target, name: 'thread', messageId: serverMsgId });
  const id = data.chatThreadId;
  await bob.send({ type: 'txt', chatType: 'groupChat', isChatThread: true, to: id, msg: 'in the thread' });
  await carol.conn.joinChatThread({ chatThreadId: id });
  assert.deepEqual(await history(carol, id, 'groupChat'), ['in the thread']);
  assert.deepEqual(await history(carol, group.target, 'groupChat'), ['parent']);
  assert.equal(await conversation(carol, id), undefined);
});

proves(['getServerConversations', 'pinConversation', 'addConversationMark', 'deleteConversation', 'getConversationlist'], 'a group is a conversation with all that belongs to one', async (t) => {
  const [alice, bob] = await clients(t, stoa, 'alice', 'bob');
  const tablet = await clientOf(t, bob.person);
  const group = await found(GROUP, stoa.rest, [alice, bob]);
  const named = { conversationId: group.target, conversationType: 'groupChat' };
  const told = (operation) => tablet.next('onMultiDeviceEvent', (e) => e.operation === operation && e.conversationId === group.target);
  await group.say(alice, 'one');
  await group.say(alice, 'two');
  await bob.nextText('two');
  const listed = await conversation(bob, group.target);
  assert.deepEqual([listed.conversationType, listed.unReadCount, listed.lastMessage.msg, listed.lastMessage.chatType], ['groupChat', 2, 'two', 'groupChat']);
  const [old] = (await bob.conn.getConversationlist()).data.channel_infos;
  assert.deepEqual([old.channel_id, old.unread_num], [`${stoa.appKey}_${group.target}@conference.easemob.com`, 2]);

  await bob.send({ type: 'channel', chatType: 'groupChat', to: group.target });
  assert.equal((await conversation(tablet, group.target)).unReadCount, 0);

  await bob.conn.pinConversation({ ...named, isPinned: true });
  assert.equal((await told('pinnedConversation')).conversationType, 'groupChat');
  await bob.conn.addConversationMark({ conversations: [named], mark: 7 });
  await told('markConversation');
  const marked = await conversation(tablet, group.target);
  assert.deepEqual([marked.isPinned, marked.marks], [true, [7]]);

  await bob.conn.deleteConversation({ channel: group.target, chatType: 'groupChat', deleteRoam: false });
  await told('deleteConversation');
  assert.equal(await conversation(tablet, group.target), undefined);
  await group.say(alice, 'three');
  const again = await conversation(tablet, group.target);
  assert.deepEqual([again.unReadCount, again.isPinned, again.marks], [1, false, []]);
  assert.equal((await conversation(alice, group.target)).unReadCount, 0);
});

proves('removeHistoryMessages', 'messages of groups and chatrooms are deleted for oneself', async (t) => {
  for (const words of [GROUP, ROOM]) {
    const [alice, bob] = await clients(t, stoa, 'alice', 'bob');
    const tablet = await clientOf(t, bob.person);
    const place = await found(words, stoa.rest, [alice, bob]);
    const ids = [];
    for (const text of ['one', 'two', 'three']) ids.push((await place.say(alice, text)).serverMsgId);
    await bob.nextText('three');
    const target = { targetId: place.target, chatType: words.chatType };
    await bob.conn.removeHistoryMessages({ ...target, messageIds: [ids[1]] });
    const event = await tablet.next('onMultiDeviceEvent', (e) => e.operation === 'deleteRoaming');
    assert.equal(event.conversationId, place.target);
    assert.deepEqual(await history(bob, place.target, words.chatType), ['one', 'three']);
    await bob.conn.removeHistoryMessages({ ...target, beforeTimeStamp: Date.now() + 60_000 });
    assert.deepEqual(await history(bob, place.target, words.chatType), []);
    assert.deepEqual(await history(alice, place.target, words.chatType), ['one', 'two', 'three']);
  }
});

proves('deleteAllMessagesAndConversations', 'groups and chatrooms are among all that is deleted', async (t) => {
  const [alice, bob] = await clients(t, stoa, 'alice', 'bob');
  for (const words of [GROUP, ROOM]) {
    const place = await found(words, stoa.rest, [alice, bob]);
    await place.say(alice, 'before');
    await bob.conn.deleteAllMessagesAndConversations();
    assert.deepEqual(await history(bob, place.target, words.chatType), []);
    assert.equal(await conversation(bob, place.target), undefined);
    await place.say(alice, 'after');
    assert.deepEqual(await history(bob, place.target, words.chatType), ['after']);
    assert.deepEqual(await history(alice, place.target, words.chatType), ['before', 'after']);
  }
});

proves('getHistoryMessages', 'recalled messages are gone, edited ones are what they are now, in history, list and search', async (t) => {
  const [alice, bob] = await clients(t, stoa, 'alice', 'bob');
  const ids = {};
  for (const text of ['stays', 'changes', 'goes']) ids[text] = (await alice.text(bob.user, text)).serverMsgId;
  await bob.nextText('goes');
  assert.equal((await conversation(bob, alice.user)).unReadCount, 3);
  await alice.conn.recallMessage({ mid: ids.goes, to: bob.user, chatType: 'singleChat' });
  await bob.next('onRecallMessage');
  const changed = alice.sdk.message.create({ type: 'txt', chatType: 'singleChat', to: bob.user, msg: 'has changed' });
  await alice.conn.modifyMessage({ messageId: ids.changes, modifiedMessage: changed });
  await bob.next('onModifiedMessage');

  const { messages } = await bob.conn.getHistoryMessages({ targetId: alice.user, chatType: 'singleChat', searchDirection: 'down' });
  assert.deepEqual(messages.map(({ msg }) => msg), ['stays', 'has changed']);
  assert.deepEqual([messages[1].id, messages[1].modifiedInfo.operatorId, messages[1].modifiedInfo.operationCount], [ids.changes, alice.user, 1]);
  const listed = await conversation(bob, alice.user);
  assert.deepEqual([listed.unReadCount, listed.lastMessage.msg], [2, 'has changed']);

  const search = async (text) => {
    const { data } = await stoa.rest.ok('GET', `/users/${bob.user}/messages/search?text=${text}`, { token: bob.person.token });
    return data.msgs.map(({ message }) => message.payload.bodies[0].msg);
  };
  await until(async () => (await search('has')).length === 1, 'the edit is indexed');
  assert.deepEqual([await search('goes'), await search('changes'), await search('stays')], [[], [], ['stays']]);
});
