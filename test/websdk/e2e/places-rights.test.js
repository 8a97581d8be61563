'use strict';

// Who may write and who may be there: mutes, block lists, allow lists, in groups and in chatrooms.

const assert = require('node:assert/strict');
const { GROUP, ROOM, clients, found } = require('../lib/places');
const { proves } = require('../lib/parity');
const { until } = require('../lib/wait');
const { world } = require('../lib/world');

const stoa = world();

// inside makes a place with alice as owner, bob as admin, and carol and dave.
async function inside(t, words) {
  const [alice, bob, carol, dave] = await clients(t, stoa, 'alice', 'bob', 'carol', 'dave');
  const place = await found(words, stoa.rest, [alice, bob, carol, dave]);
  await stoa.rest.admin('POST', `${words.path}/${place.target}/admin`, { newadmin: bob.user });
  return { place, alice, bob, carol, dave };
}

const names = (rows) => rows.map(({ user }) => user);

for (const [words, mute, unmute, list, isMuted] of [
  [GROUP, 'muteGroupMember', 'unmuteGroupMember', 'getGroupMuteList', 'isInGroupMutelist'],
  [GROUP, 'mute', 'removeMute', 'getMuted', 'isInGroupMutelist'],
  [ROOM, 'muteChatRoomMember', 'unmuteChatRoomMember', 'getChatRoomMutelist', 'isInChatRoomMutelist'],
  [ROOM, 'muteChatRoomMember', 'removeMuteChatRoomMember', 'getChatRoomMuted', 'isInChatRoomMutelist'],
  [ROOM, 'muteChatRoomMember', 'unmuteChatRoomMember', 'getChatRoomMuteList', 'isInChatRoomMutelist'],
]) {
  proves([mute, unmute, list, isMuted], `${mute} takes a member of a ${words.kind} the word until ${unmute}, as ${list} tells`, async (t) => {
    const { place, alice, bob, carol, dave } = await inside(t, words);
    const before = Date.now();
    const muted = await place.ask(bob, mute, { username: carol.user, muteDuration: 60_000 });
    assert.deepEqual(names(muted.data), [carol.user]);
    assert.ok(muted.data[0].expire >= before + 60_000, `expires at ${muted.data[0].expire}`);
    const event = await place.heard(carol, 'muteMember');
    assert.deepEqual([event.from, event.userId, event.muteTimestamp], [bob.user, carol.user, { [carol.user]: muted.data[0].expire }]);
    const listed = (await place.ask(alice, list)).data;
    assert.deepEqual(listed.map(({ user, expire }) => [user, expire]), [[carol.user, muted.data[0].expire]]);
    assert.equal((await place.ask(carol, isMuted)).data, true);
    assert.equal((await place.ask(dave, isMuted)).data, false);
    await assert.rejects(place.say(carol, 'muted'), { type: 507 });
    await assert.rejects(place.ask(carol, unmute, { username: carol.user }), { type: 603 });
    await assert.rejects(place.ask(bob, mute, { username: alice.user, muteDuration: -1 }), { type: 603 });

    assert.deepEqual(names((await place.ask(bob, unmute, { username: carol.user })).data), [carol.user]);
    assert.equal((await place.heard(carol, 'unmuteMember')).userId, carol.user);
    assert.deepEqual((await place.ask(alice, list)).data, []);
    await place.say(carol, 'free again');
    await dave.nextText('free again');
    assert.deepEqual(dave.texts(), ['free again']);
  });
}

proves(['muteGroupMember', 'unmuteGroupMember'], 'several members of a group are muted at once, for ever', async (t) => {
  const { place, alice, carol, dave } = await inside(t, GROUP);
  const both = [carol.user, dave.user];
  assert.deepEqual(names((await place.ask(alice, 'muteGroupMember', { username: both, muteDuration: -1 })).data), both);
  for (const client of [carol, dave]) {
    await place.heard(client, 'muteMember', (e) => e.userId === client.user);
    await assert.rejects(place.say(client, 'muted'), { type: 507 });
  }
  assert.deepEqual(names((await place.ask(alice, 'unmuteGroupMember', { username: both })).data), both);
  for (const client of [carol, dave]) await place.heard(client, 'unmuteMember', (e) => e.userId === client.user);
});

// The calls for one and for several, and those that list.
for (const [words, block, unblock, list, several] of [
  [GROUP, 'blockGroupMember', 'unblockGroupMember', 'getGroupBlocklist', false],
  [GROUP, 'groupBlockSingle', 'removeGroupBlockSingle', 'getGroupBlacklist', false],
  [GROUP, 'blockGroupMembers', 'unblockGroupMembers', 'getGroupBlacklistNew', true],
  [GROUP, 'groupBlockMulti', 'removeGroupBlockMulti', 'getGroupBlocklist', true],
  [ROOM, 'blockChatRoomMember', 'unblockChatRoomMember', 'getChatRoomBlacklist', false],
  [ROOM, 'chatRoomBlockSingle', 'removeChatRoomBlockSingle', 'getChatRoomBlacklistNew', false],
  [ROOM, 'blockChatRoomMembers', 'unblockChatRoomMembers', 'getChatRoomBlacklist', true],
  [ROOM, 'chatRoomBlockMulti', 'removeChatRoomBlockMulti', 'getChatRoomBlacklistNew', true],
]) {
  proves([block, unblock, list], `${block} keeps ${several ? 'users' : 'a user'} out of a ${words.kind} until ${unblock}, as ${list} tells`, async (t) => {
    const { place, alice, bob, carol, dave } = await inside(t, words);
    const whom = several ? [carol, dave] : [carol];
    const users = whom.map(({ user }) => user);
    const args = several ? { usernames: users } : { username: carol.user };
    const rows = (answer) => [].concat(answer.data).map(({ user, result }) => [user, result]);
    const back = (client) => (words === GROUP ? place.ask(client, 'joinGroup', { message: 'let me in' }) : client.conn.joinChatRoom({ roomId: place.target }));

    await assert.rejects(place.ask(dave, block, { usernames: [carol.user], username: carol.user }), { type: 603 });
    assert.deepEqual(rows(await place.ask(bob, block, args)), users.map((user) => [user, true]));
    for (const client of whom) {
      await place.heard(client, 'removeMember');
      await assert.rejects(place.say(client, 'from outside'), { type: 602 });
      await assert.rejects(back(client), { type: 603 });
    }
    await place.went(alice, ...whom);
    assert.deepEqual((await place.ask(alice, list)).data.sort(), [...users].sort());

    assert.deepEqual(rows(await place.ask(bob, unblock, args)), users.map((user) => [user, true]));
    for (const client of whom) await place.heard(client, 'unblockMember');
    assert.deepEqual((await place.ask(alice, list)).data, []);
    for (const client of whom) {
      await back(client);
      await place.came(alice, client);
    }
  });
}

for (const [words, ban, unban, allow, forget, list, isAllowed] of [
  [GROUP, 'disableSendGroupMsg', 'enableSendGroupMsg', 'addUsersToGroupAllowlist', 'removeGroupAllowlistMember', 'getGroupAllowlist', 'isInGroupAllowlist'],
  [GROUP, 'disableSendGroupMsg', 'enableSendGroupMsg', 'addUsersToGroupWhitelist', 'rmUsersFromGroupWhitelist', 'getGroupWhitelist', 'isGroupWhiteUser'],
  [GROUP, 'disableSendGroupMsg', 'enableSendGroupMsg', 'addUsersToGroupAllowlist', 'removeGroupWhitelistMember', 'getGroupAllowlist', 'isInGroupWhiteList'],
  [ROOM, 'disableSendChatRoomMsg', 'enableSendChatRoomMsg', 'addUsersToChatRoomAllowlist', 'removeChatRoomAllowlistMember', 'getChatRoomAllowlist', 'isInChatRoomAllowlist'],
  [ROOM, 'disableSendChatRoomMsg', 'enableSendChatRoomMsg', 'addUsersToChatRoomWhitelist', 'rmUsersFromChatRoomWhitelist', 'getChatRoomWhitelist', 'isChatRoomWhiteUser'],
  [ROOM, 'disableSendChatRoomMsg', 'enableSendChatRoomMsg', 'addUsersToChatRoomAllowlist', 'removeChatRoomWhitelistMember', 'getChatRoomAllowlist', 'isInChatRoomAllowlist'],
]) {
  proves([ban, unban, allow, forget, list, isAllowed], `${ban} silences a ${words.kind} but for those of ${allow}, until ${forget} or ${unban}`, async (t) => {
    const { place, alice, bob, carol, dave } = await inside(t, words);
    await assert.rejects(place.ask(carol, ban), { type: 603 });
    assert.equal((await place.ask(bob, ban)).data.mute, true);
    assert.equal((await place.heard(carol, 'muteAllMembers')).from, bob.user);
    await assert.rejects(place.say(carol, 'silenced'), { type: 506 });
    await place.say(alice, 'owners may');
    await dave.nextText('owners may');

    const added = await place.ask(alice, allow, { users: [carol.user] });
    assert.deepEqual(added.data.map(({ user, result }) => [user, result]), [[carol.user, true]]);
    assert.equal((await place.heard(carol, 'addUserToAllowlist')).userId, carol.user);
    assert.ok((await place.ask(bob, list)).data.includes(carol.user));
    assert.equal((await place.ask(carol, isAllowed, { userName: carol.user })).data.white, true);
    assert.equal((await place.ask(dave, isAllowed, { userName: dave.user })).data.white, false);
    await place.say(carol, 'allowed');
    await dave.nextText('allowed');

    assert.equal((await place.ask(alice, forget, { userName: carol.user })).data.result, true);
    assert.equal((await place.heard(carol, 'removeAllowlistMember')).userId, carol.user);
    await until(() => place.say(carol, 'silenced').then(() => false, ({ type }) => type === 506), 'the end of the permission');

    assert.equal((await place.ask(bob, unban)).data.mute, false);
    await place.heard(carol, 'unmuteAllMembers');
    await place.say(carol, 'all may');
    await dave.nextText('all may');
  });
}
