'use strict';

// The life of a chatroom, who is in it, and where it is listed.

const assert = require('node:assert/strict');
const { Place, ROOM, clients, found } = require('../lib/places');
const { proves } = require('../lib/parity');
const { world } = require('../lib/world');

const stoa = world();

async function room(t, ...names) {
  const all = await clients(t, stoa, ...names);
  return { place: await found(ROOM, stoa.rest, all), ...Object.fromEntries(names.map((name, i) => [name, all[i]])) };
}

proves(['createChatRoom', 'getChatRoomDetails', 'destroyChatRoom'], 'a chatroom is made, looked at and destroyed', async (t) => {
  const [alice, bob] = await clients(t, stoa, 'alice', 'bob');
  const wanted = { name: 'lounge ☃', description: 'sit down', maxusers: 200, members: [bob.user] };
  await assert.rejects(alice.conn.createChatRoom(wanted), { type: 603 }); // it takes a super admin, or the backend
  const token = await stoa.rest.appToken();
  const { data } = await alice.conn.createChatRoom({ ...wanted, token });
  const place = new Place(ROOM, data.id);
  const [details] = (await place.ask(bob, 'getChatRoomDetails')).data;
  const { id, name, description, owner, maxusers, affiliations_count, mute, affiliations } = details;
  assert.deepEqual({ id, name, description, owner, maxusers, affiliations_count, mute, affiliations },
    { id: data.id, name: 'lounge ☃', description: 'sit down', owner: alice.user, maxusers: 200, affiliations_count: 2, mute: false, affiliations: [{ owner: alice.user }, { member: bob.user }] });

  await bob.conn.joinChatRoom({ roomId: place.target });
  await assert.rejects(place.ask(bob, 'destroyChatRoom'), { type: 603 });
  assert.equal((await place.ask(alice, 'destroyChatRoom')).data.success, true);
  assert.equal((await place.heard(bob, 'destroy')).from, alice.user);
  await assert.rejects(place.ask(alice, 'getChatRoomDetails'), { type: 705 });
  const another = await found(ROOM, stoa.rest, [alice]);
  await another.ask(bob, 'destroyChatRoom', { token });
  await assert.rejects(another.ask(alice, 'getChatRoomDetails'), { type: 705 });
});

proves('createChatRoom', 'a super admin makes chatrooms', async (t) => {
  const [alice] = await clients(t, stoa, 'alice');
  await stoa.rest.admin('POST', '/chatrooms/super_admin', { superadmin: alice.user });
  const { data } = await alice.conn.createChatRoom({ name: 'mine', description: 'd', maxusers: 200, members: [] });
  assert.equal((await new Place(ROOM, data.id).details(stoa.rest)).owner, alice.user);
});

proves('modifyChatRoom', 'modifyChatRoom changes a chatroom and tells those who are in it', async (t) => {
  const { place, alice, bob } = await room(t, 'alice', 'bob');
  const { data } = await place.ask(alice, 'modifyChatRoom', { chatRoomName: 'renamed', description: 'new', maxusers: 300 });
  assert.deepEqual([data.groupname, data.description, data.maxusers], [true, true, true]);
  assert.equal((await place.heard(bob, 'updateInfo')).from, alice.user);
  const { name, description, maxusers } = await place.details(stoa.rest);
  assert.deepEqual([name, description, maxusers], ['renamed', 'new', 300]);
  await assert.rejects(place.ask(bob, 'modifyChatRoom', { chatRoomName: 'mine', description: '', maxusers: 10 }), { type: 603 });
});

proves(['getChatRooms', 'getJoinedChatRooms'], 'chatrooms are listed, all of them and those that one is in', async (t) => {
  const [alice, bob] = await clients(t, stoa, 'alice', 'bob');
  const first = await found(ROOM, stoa.rest, [alice, bob], { name: 'first' });
  const second = await found(ROOM, stoa.rest, [alice], { name: 'second' });
  const all = (await bob.conn.getChatRooms({ pagenum: 1, pagesize: 2 })).data;
  assert.deepEqual(all.map(({ id, name, owner, affiliations_count }) => [id, name, owner, affiliations_count]),
    [[second.target, 'second', alice.user, 1], [first.target, 'first', alice.user, 2]]);
  const next = (await bob.conn.getChatRooms({ pagenum: 2, pagesize: 1 })).data;
  assert.deepEqual(next.map(({ id }) => id), [first.target]);
  const joined = (await bob.conn.getJoinedChatRooms({ pageNum: 1, pageSize: 20 })).data;
  assert.deepEqual(joined.map(({ id, name, owner, description, maxusers }) => [id, name, owner, description, maxusers]),
    [[first.target, 'first', alice.user, 'a room', 1000]]);
});

for (const list of ['listChatRoomMembers', 'listChatRoomMember']) {
  proves([list, 'getChatRoomMembers'], `${list} and getChatRoomMembers page through who is in a chatroom`, async (t) => {
    const { place, alice, bob, carol } = await room(t, 'alice', 'bob', 'carol');
    const page = async (pageNum) => (await place.ask(carol, list, { pageNum, pageSize: 2 })).data;
    assert.deepEqual([await page(1), await page(2)], [[{ owner: alice.user }, { member: bob.user }], [{ member: carol.user }]]);
    const first = (await place.ask(bob, 'getChatRoomMembers', { limit: 2 })).data;
    assert.deepEqual(first.members.map(({ role, userId }) => [role, userId]), [['owner', alice.user], ['member', bob.user]]);
    const rest = (await place.ask(bob, 'getChatRoomMembers', { cursor: first.cursor, limit: 2 })).data;
    assert.deepEqual([rest.members.map(({ userId }) => userId), rest.cursor || ''], [[carol.user], '']);
    assert.ok(Math.abs(rest.members[0].joinedTime - Date.now()) < 60_000);
  });
}

proves(['setChatRoomAdmin', 'removeChatRoomAdmin', 'getChatRoomAdmin'], 'a chatroom has admins', async (t) => {
  const { place, alice, bob, carol } = await room(t, 'alice', 'bob', 'carol');
  await assert.rejects(place.ask(bob, 'setChatRoomAdmin', { username: bob.user }), { type: 603 });
  assert.equal((await place.ask(alice, 'setChatRoomAdmin', { username: bob.user })).data.newadmin, bob.user);
  assert.equal((await place.heard(bob, 'setAdmin')).userId, bob.user);
  assert.deepEqual((await place.ask(carol, 'getChatRoomAdmin')).data, [bob.user]);
  assert.equal((await place.ask(alice, 'removeChatRoomAdmin', { username: bob.user })).data.oldadmin, bob.user);
  assert.equal((await place.heard(bob, 'removeAdmin')).from, alice.user);
  assert.deepEqual((await place.ask(carol, 'getChatRoomAdmin')).data, []);
});

proves('addUsersToChatRoom', 'addUsersToChatRoom brings users in', async (t) => {
  const { place, alice, bob } = await room(t, 'alice', 'bob');
  const [carol, dave] = await clients(t, stoa, 'carol', 'dave');
  await assert.rejects(place.ask(bob, 'addUsersToChatRoom', { users: [carol.user] }), { type: 603 });
  const { data } = await place.ask(alice, 'addUsersToChatRoom', { users: [carol.user, dave.user] });
  assert.deepEqual(data.newmembers, [carol.user, dave.user]);
  for (const client of [carol, dave]) {
    assert.equal((await place.heard(client, 'directJoined')).from, alice.user);
  }
  await place.came(bob, carol, dave);
  assert.equal((await place.details(stoa.rest)).affiliations_count, 4);
});

for (const [one, several] of [
  ['removeChatRoomMember', 'removeChatRoomMembers'],
  ['removeSingleChatRoomMember', 'removeMultiChatRoomMember'],
]) {
  proves([one, several], `${one} and ${several} put people out`, async (t) => {
    const { place, alice, bob, carol, dave } = await room(t, 'alice', 'bob', 'carol', 'dave');
    await assert.rejects(place.ask(bob, one, { username: carol.user }), { type: 603 });
    assert.equal((await place.ask(alice, one, { username: bob.user })).data.result, true);
    assert.equal((await place.heard(bob, 'removeMember')).from, alice.user);
    await place.went(carol, bob);
    const { data } = await place.ask(alice, several, { users: [carol.user, dave.user] });
    assert.deepEqual(data.map(({ user, result }) => [user, result]), [[carol.user, true], [dave.user, true]]);
    for (const client of [carol, dave]) await place.heard(client, 'removeMember');
    assert.deepEqual(await place.roles(stoa.rest), [`owner ${alice.user}`]);
    await assert.rejects(place.say(bob, 'from outside'), { type: 602 });
  });
}
