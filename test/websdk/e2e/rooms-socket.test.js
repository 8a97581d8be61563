'use strict';

// Coming to a chatroom and going over the socket, and what is said there meanwhile.

const assert = require('node:assert/strict');
const { test } = require('node:test');
const { GROUP, Place, ROOM, clientOf, clients, found } = require('../lib/places');
const { proves } = require('../lib/parity');
const { world } = require('../lib/world');

const stoa = world();

// hall makes a chatroom of the first of the people, in which nobody is with a socket.
async function hall(t, names, more) {
  const all = await clients(t, stoa, ...names);
  const form = { owner: all[0].user, name: 'hall', ...more };
  const place = new Place(ROOM, (await stoa.rest.admin('POST', '/chatrooms', { description: 'd', ...form })).data.id);
  return { place, ...Object.fromEntries(names.map((name, i) => [name, all[i]])) };
}

const enter = (place, client, more = {}) => client.conn.joinChatRoom({ roomId: place.target, ...more });

proves('joinChatRoom', 'who joins a chatroom is told about it, and the others are told who has come', async (t) => {
  const { place, alice, bob, carol } = await hall(t, ['alice', 'bob', 'carol']);
  await enter(place, bob);
  const before = Date.now();
  const { data } = await enter(place, carol, { ext: 'hello ☃' });
  const { info, ...answer } = data;
  assert.deepEqual(answer, { action: 'apply', id: place.target, result: true, user: carol.user });
  assert.deepEqual([info.isAllMembersMuted, info.isInAllowlist, info.memberCount, info.muteExpireTimestamp], [false, false, 3, -1]);
  assert.ok(Math.abs(info.createTimestamp - before) < 60_000);
  const event = await place.heard(bob, 'memberPresence', (e) => e.from === carol.user);
  assert.deepEqual([event.ext, event.memberCount], ['hello ☃', 3]);
  assert.deepEqual(await place.roles(stoa.rest), [`owner ${alice.user}`, `member ${bob.user}`, `member ${carol.user}`]);
});

proves('joinChatRoom', 'the state of a chatroom is told to who joins', async (t) => {
  const { place, alice, bob } = await hall(t, ['alice', 'bob']);
  await enter(place, bob);
  await place.ask(alice, 'disableSendChatRoomMsg');
  await place.ask(alice, 'addUsersToChatRoomAllowlist', { users: [bob.user] });
  await place.ask(alice, 'muteChatRoomMember', { username: bob.user, muteDuration: 60_000 });
  const { info } = (await enter(place, bob)).data; // again, as after an absence
  assert.deepEqual([info.isAllMembersMuted, info.isInAllowlist, info.memberCount], [true, true, 2]);
  assert.ok(info.muteExpireTimestamp > Date.now());
});

for (const leave of ['leaveChatRoom', 'quitChatRoom']) {
  proves(['joinChatRoom', leave], `${leave} ends it, and the others are told`, async (t) => {
    const { place, alice, bob, carol } = await hall(t, ['alice', 'bob', 'carol']);
    for (const client of [alice, bob, carol]) await enter(place, client);
    const { data } = await bob.conn[leave]({ roomId: place.target });
    assert.equal(data.result, true);
    await place.went(carol, bob);
    await assert.rejects(bob.conn[leave]({ roomId: place.target }), { type: 602 });
    await assert.rejects(place.say(bob, 'still here?'), { type: 602 });
    await place.say(alice, 'he has gone');
    await carol.nextText('he has gone');
    await alice.text(bob.user, 'after'); // came after what the room was told
    await bob.nextText('after');
    assert.deepEqual(bob.texts(), ['after']);
    await enter(place, bob);
    await place.came(alice, bob);
  });
}

proves('joinChatRoom', 'messages of a chatroom go to who is there, and not to who sends them', async (t) => {
  const { place, alice, bob, carol } = await hall(t, ['alice', 'bob', 'carol']);
  await assert.rejects(place.say(bob, 'too early'), { type: 602 });
  for (const client of [alice, bob, carol]) await enter(place, client);
  const { serverMsgId } = await place.say(bob, 'hello', { ext: { n: 1 }, priority: 'high' });
  for (const client of [alice, carol]) {
    const message = await client.nextText('hello');
    assert.deepEqual([message.id, message.from, message.to, message.chatType, message.ext.n], [serverMsgId, bob.user, place.target, 'chatRoom', 1]);
  }
  await place.say(alice, 'answer');
  await bob.nextText('answer');
  assert.deepEqual(bob.texts(), ['answer']);
});

proves('joinChatRoom', 'rooms that cannot be joined are refused with their codes', async (t) => {
  const { place, alice, bob, carol } = await hall(t, ['alice', 'bob', 'carol'], { maxusers: 2 });
  await enter(place, bob);
  await assert.rejects(enter(place, carol), { type: 704 });
  await assert.rejects(carol.conn.joinChatRoom({ roomId: '281474999999999' }), { type: 705 });
  await assert.rejects(carol.conn.leaveChatRoom({ roomId: '281474999999999' }), { type: 705 });
  const group = await found(GROUP, stoa.rest, [alice]);
  await assert.rejects(carol.conn.joinChatRoom({ roomId: group.target }), { type: 705 });
  await place.ask(alice, 'blockChatRoomMember', { username: carol.user });
  await assert.rejects(enter(place, carol), { type: 603 });
  assert.deepEqual(await place.roles(stoa.rest), [`owner ${alice.user}`, `member ${bob.user}`]);
});

proves('joinChatRoom', 'leaveOtherRooms leaves all rooms that one does not own', async (t) => {
  const { place, alice, bob } = await hall(t, ['alice', 'bob']);
  const second = await found(ROOM, stoa.rest, [alice]);
  const own = await found(ROOM, stoa.rest, [bob]);
  await enter(place, alice);
  await enter(place, bob);
  await enter(second, bob, { leaveOtherRooms: true });
  await place.went(alice, bob);
  const joined = (await bob.conn.getJoinedChatRooms({ pageNum: 1, pageSize: 20 })).data.map(({ id }) => id);
  assert.deepEqual(joined.sort(), [second.target, own.target].sort());
});

test('who comes back in time is still in the chatroom', async (t) => {
  const { place, alice, bob } = await hall(t, ['alice', 'bob']);
  await enter(place, alice);
  await enter(place, bob);
  bob.close();
  const again = await clientOf(t, bob.person);
  await place.say(alice, 'welcome back');
  await again.nextText('welcome back');
  await place.say(again, 'thank you');
  await alice.nextText('thank you');
});

test('who stays away leaves the chatroom, unless on the allow list', async (t) => {
  await stoa.rest.change(t, { room_leave_after_seconds: 0 });
  const { place, alice, bob, carol } = await hall(t, ['alice', 'bob', 'carol']);
  for (const client of [alice, bob, carol]) await enter(place, client);
  await place.ask(alice, 'addUsersToChatRoomAllowlist', { users: [carol.user] });
  carol.close();
  bob.close();
  await place.went(alice, bob);
  assert.deepEqual(await place.roles(stoa.rest), [`owner ${alice.user}`, `member ${carol.user}`]);
});

test('who is removed or banned hears nothing more of the chatroom', async (t) => {
  const { place, alice, bob, carol } = await hall(t, ['alice', 'bob', 'carol']);
  for (const client of [alice, bob, carol]) await enter(place, client);
  await place.ask(alice, 'removeChatRoomMember', { username: bob.user });
  await place.heard(bob, 'removeMember');
  await place.say(alice, 'just us');
  await carol.nextText('just us');
  await alice.text(bob.user, 'after');
  await bob.nextText('after');
  assert.deepEqual(bob.texts(), ['after']);
});

test('a broadcast of the backend reaches everybody in every chatroom', async (t) => {
  const first = await hall(t, ['alice', 'bob']);
  const second = await hall(t, ['carol', 'dave']);
  for (const [{ place }, client] of [[first, first.bob], [second, second.dave]]) await enter(place, client);
  const answer = await stoa.rest.admin('POST', '/messages/chatrooms/broadcast', {
    from: 'the house', chatroom_msg_level: 'high', ext: { n: 1, deep: { a: [true] } }, msg: { type: 'txt', msg: 'closing time ☃' },
  });
  assert.equal(typeof answer.data.id, 'number');
  for (const [{ place }, client] of [[first, first.bob], [second, second.dave]]) {
    const message = await client.nextText('closing time ☃');
    assert.deepEqual([message.from, message.to, message.chatType, message.broadcast, message.priority], ['the house', place.target, 'chatRoom', true, 'high']);
    assert.deepEqual(message.ext, { n: 1, deep: { a: [true] } });
  }
  for (const bad of [{ msg: { type: 'fax' } }, { msg: { type: 'txt' } }, { from: '', msg: { type: 'txt', msg: 'x' } }, { msg: { type: 'txt', msg: 'x'.repeat(6000) } }]) {
    await assert.rejects(stoa.rest.admin('POST', '/messages/chatrooms/broadcast', bad));
  }
});
