'use strict';

// The life of a group, and where it is listed.

const assert = require('node:assert/strict');
const { test } = require('node:test');
const { GROUP, Place, ROOM, clientOf, clients, found } = require('../lib/places');
const { proves } = require('../lib/parity');
const { until } = require('../lib/wait');
const { world } = require('../lib/world');

const stoa = world();

const information = (client, ids) => client.conn.getGroupInfo({ groupId: ids }).then(({ data }) => data);

for (const create of ['createGroup', 'createGroupNew']) {
  proves([create, 'getGroupInfo'], `${create} makes a group as it was asked for`, async (t) => {
    const [alice, bob] = await clients(t, stoa, 'alice', 'bob');
    const tablet = await clientOf(t, alice.person);
    const { data } = await alice.conn[create]({
      data: { groupname: 'sailors ☃', avatar: 'http://x/g.png', desc: 'who sail', members: [bob.user], public: true, approval: true, allowinvites: false, inviteNeedConfirm: false, maxusers: 300, ext: 'x' },
    });
    const place = new Place(GROUP, data.groupid);
    const joined = await place.heard(bob, 'directJoined');
    assert.deepEqual([joined.from, joined.name], [alice.user, 'sailors ☃']);
    assert.equal((await place.heard(tablet, 'create')).from, alice.user);
    const [group] = await information(bob, data.groupid);
    const { id, name, description, owner, maxusers, custom, avatar, membersonly, allowinvites, affiliations_count, mute, disabled } = group;
    assert.deepEqual(
      { id, name, description, owner, maxusers, custom, avatar, membersonly, allowinvites, public: group.public, affiliations_count, mute, disabled },
      { id: data.groupid, name: 'sailors ☃', description: 'who sail', owner: alice.user, maxusers: 300, custom: 'x', avatar: 'http://x/g.png', membersonly: true, allowinvites: false, public: true, affiliations_count: 2, mute: false, disabled: false },
    );
    assert.deepEqual(group.affiliations.map((row) => row.owner ?? row.member), [alice.user, bob.user]);
  });
}

proves(['createGroupVNext', 'acceptGroupInvite'], 'createGroupVNext asks those whom it invites, if it is told so', async (t) => {
  const [alice, bob, carol] = await clients(t, stoa, 'alice', 'bob', 'carol');
  const { data } = await alice.conn.createGroupVNext({ groupName: 'asked', members: [bob.user], inviteNeedConfirm: true });
  const place = new Place(GROUP, data.groupId);
  const invited = await place.heard(bob, 'inviteToJoin');
  assert.deepEqual([invited.from, invited.name], [alice.user, 'asked']);
  const [group] = await information(alice, data.groupId);
  assert.deepEqual([group.public, group.allowinvites, group.affiliations_count], [false, true, 1]);
  await place.ask(bob, 'acceptGroupInvite', { invitee: bob.user });
  assert.equal((await place.heard(alice, 'acceptInvite')).from, bob.user);
  assert.equal((await information(bob, data.groupId))[0].affiliations_count, 2);

  const plain = await alice.conn.createGroupVNext({ groupName: 'not asked', members: [carol.user] });
  assert.equal((await new Place(GROUP, plain.data.groupId).heard(carol, 'directJoined')).name, 'not asked');
});

proves('getGroupInfo', 'getGroupInfo tells of several groups, and of none that there is not', async (t) => {
  const [alice, bob] = await clients(t, stoa, 'alice', 'bob');
  const first = await found(GROUP, stoa.rest, [alice, bob]);
  const second = await found(GROUP, stoa.rest, [alice]);
  assert.deepEqual((await information(alice, [first.target, second.target])).map(({ id }) => id), [first.target, second.target]);
  await assert.rejects(information(alice, '281474976710655'), { type: 605 });
});

proves('modifyGroup', 'modifyGroup changes what it names and tells the members', async (t) => {
  const [alice, bob] = await clients(t, stoa, 'alice', 'bob');
  const place = await found(GROUP, stoa.rest, [alice, bob]);
  const { data } = await place.ask(alice, 'modifyGroup', { groupName: 'renamed', description: 'new', avatar: 'http://x/2.png', ext: 'y' });
  assert.deepEqual([data.groupname, data.description, data.avatar, data.custom], [true, true, true, true]);
  const { from, detail } = await place.heard(bob, 'updateInfo');
  assert.deepEqual([from, detail.name, detail.description, detail.avatar, detail.ext], [alice.user, 'renamed', 'new', 'http://x/2.png', 'y']);
  assert.ok(detail.lastModified > 0);
  await place.ask(alice, 'modifyGroup', { groupName: 'only the name' });
  const [group] = await information(bob, place.target);
  assert.deepEqual([group.name, group.description, group.custom], ['only the name', 'new', 'y']);
  await assert.rejects(place.ask(bob, 'modifyGroup', { groupName: 'mine' }), { type: 603 });
});

for (const change of ['changeGroupOwner', 'changeOwner']) {
  proves(change, `${change} gives a group away`, async (t) => {
    const [alice, bob, carol] = await clients(t, stoa, 'alice', 'bob', 'carol');
    const stranger = await stoa.person('stranger');
    const place = await found(GROUP, stoa.rest, [alice, bob, carol]);
    await assert.rejects(place.ask(bob, change, { newOwner: bob.user }), { type: 603 });
    await assert.rejects(place.ask(alice, change, { newOwner: stranger.id }), { type: 602 });
    assert.equal((await place.ask(alice, change, { newOwner: bob.user })).data.newowner, true);
    for (const client of [bob, carol]) assert.equal((await place.heard(client, 'changeOwner')).from, alice.user);
    assert.equal((await information(carol, place.target))[0].owner, bob.user);
    assert.deepEqual(await place.roles(stoa.rest), [`member ${alice.user}`, `owner ${bob.user}`, `member ${carol.user}`]);
  });
}

for (const destroy of ['destroyGroup', 'dissolveGroup']) {
  proves(destroy, `${destroy} ends a group`, async (t) => {
    const [alice, bob] = await clients(t, stoa, 'alice', 'bob');
    const place = await found(GROUP, stoa.rest, [alice, bob]);
    await assert.rejects(place.ask(bob, destroy), { type: 603 });
    assert.equal((await place.ask(alice, destroy)).data.success, true);
    assert.equal((await place.heard(bob, 'destroy')).from, alice.user);
    await assert.rejects(information(alice, place.target), { type: 605 });
    await assert.rejects(place.say(bob, 'to nowhere'), { type: 605 });
    assert.deepEqual((await bob.conn.getGroup()).data, []);
  });
}

for (const list of ['getPublicGroups', 'listGroups']) {
  proves(list, `${list} pages through the public groups`, async (t) => {
    const [alice] = await clients(t, stoa, 'alice');
    const open = [];
    for (const name of ['one', 'two', 'three']) {
      open.push((await found(GROUP, stoa.rest, [alice], { name })).target);
      await found(GROUP, stoa.rest, [alice], { public: false });
    }
    const seen = [];
    for (let cursor = ''; ; ) {
      const page = await alice.conn[list]({ limit: 2, cursor });
      seen.push(...page.data);
      if (page.data.some(({ groupid }) => groupid === open[0]) || !page.cursor) break; // older ones are other tests'
      cursor = page.cursor;
    }
    const mine = seen.filter(({ groupid }) => open.includes(groupid));
    assert.deepEqual(mine.map(({ groupid, groupname }) => [groupid, groupname]), [[open[2], 'three'], [open[1], 'two'], [open[0], 'one']]);
    assert.equal(new Set(seen.map(({ groupid }) => groupid)).size, seen.length);
  });
}

proves(['getGroup', 'getJoinedGroups', 'getJoinedGroupsCount'], 'the groups of a user are listed in three ways, and counted', async (t) => {
  const [alice, bob] = await clients(t, stoa, 'alice', 'bob');
  const places = [await found(GROUP, stoa.rest, [alice, bob]), await found(GROUP, stoa.rest, [bob]), await found(GROUP, stoa.rest, [alice, bob])];
  await stoa.rest.admin('POST', `/chatgroups/${places[2].target}/admin`, { newadmin: bob.user });
  const newest = places.map(({ target }) => target).reverse();
  const ids = (rows) => rows.map((row) => row.groupid ?? row.groupId);
  assert.deepEqual(ids((await bob.conn.getGroup()).data), newest);
  assert.deepEqual(ids((await bob.conn.getJoinedGroups({ pageNum: 1, pageSize: 2 })).data), newest.slice(0, 2));
  assert.deepEqual(ids((await bob.conn.getJoinedGroups({ pageNum: 2, pageSize: 2 })).data), newest.slice(2));
  const detailed = await bob.conn.getJoinedGroups({ pageNum: 0, pageSize: 20, needAffiliations: true, needRole: true });
  assert.deepEqual(detailed.entities.map(({ groupId, role, affiliationsCount }) => [groupId, role, affiliationsCount]),
    [[newest[0], 'admin', 2], [newest[1], 'owner', 1], [newest[2], 'member', 2]]);
  const roles = await bob.conn.getJoinedGroups({ pageNum: 1, pageSize: 2, needRole: true });
  assert.deepEqual(roles.entities.map(({ groupId, role }) => [groupId, role]), [[newest[2], 'member']]);
  assert.equal((await bob.conn.getJoinedGroupsCount()).data, 3);
  assert.equal((await alice.conn.getJoinedGroupsCount()).data, 2);
});

proves(['blockGroupMessage', 'unblockGroupMessage'], 'a member may want no messages of a group, until unblockGroupMessage', async (t) => {
  const [alice, bob, carol] = await clients(t, stoa, 'alice', 'bob', 'carol');
  const place = await found(GROUP, stoa.rest, [alice, bob, carol]);
  assert.equal((await place.ask(bob, 'blockGroupMessage')).data.result, true);
  assert.equal((await information(bob, place.target))[0].shieldgroup, true);
  await place.say(alice, 'shielded');
  await carol.nextText('shielded');
  assert.equal((await place.ask(bob, 'unblockGroupMessage')).data.result, true);
  assert.equal((await information(bob, place.target))[0].shieldgroup, false);
  await place.say(alice, 'heard');
  await bob.nextText('heard');
  assert.deepEqual(bob.texts(), ['heard']);
});

for (const block of ['blockGroupMessages', 'blockGroup']) {
  proves(block, `${block} silences the notifications of a group`, async (t) => {
    const [alice, bob] = await clients(t, stoa, 'alice', 'bob');
    const tablet = await clientOf(t, bob.person);
    const place = await found(GROUP, stoa.rest, [alice, bob]);
    assert.equal((await place.ask(bob, block)).entities[0].username, bob.user);
    const told = await tablet.next('onMultiDeviceEvent', ({ operation }) => operation === 'setSilentModeForConversation');
    assert.equal(told.conversationId, place.target);
    const { data } = await bob.conn.getSilentModeForConversation({ conversationId: place.target, type: 'groupChat' });
    assert.equal(data.type, 'NONE');
    await place.say(alice, 'silent, but there');
    await bob.nextText('silent, but there');
  });
}

test('what there is not, and who is not in it, is refused with codes of its own', async (t) => {
  const [alice, bob] = await clients(t, stoa, 'alice', 'bob');
  const nobody = await stoa.stranger('nobody');
  const place = await found(GROUP, stoa.rest, [alice], { maxusers: 3 });
  const none = new Place(GROUP, '281474976710655');
  for (const [method, args] of [
    ['joinGroup', { message: '' }],
    ['leaveGroup'],
    ['modifyGroup', { groupName: 'x' }],
    ['getGroupMuteList'],
    ['fetchGroupAnnouncement'],
    ['inviteUsersToGroup', { users: [alice.user] }],
  ]) {
    await assert.rejects(none.ask(bob, method, args), { type: 605 }, method);
  }
  await assert.rejects(place.ask(bob, 'leaveGroup'), { type: 602 });
  await assert.rejects(place.ask(alice, 'inviteUsersToGroup', { users: [nobody.id] }), { type: 204 });
  await assert.rejects(place.ask(alice, 'muteGroupMember', { username: bob.user, muteDuration: 1000 }), { type: 602 });
  await stoa.rest.admin('POST', `/chatgroups/${place.target}/disable`);
  await until(() => place.say(alice, 'closed').then(() => false, ({ type }) => type === 608), 'the group to be closed');
  await assert.rejects(place.ask(alice, 'modifyGroup', { groupName: 'x' }), { type: 608 });
});

test('limits of groups and rooms have codes of their own', async (t) => {
  const [alice, bob] = await clients(t, stoa, 'alice', 'bob');
  const place = await found(GROUP, stoa.rest, [alice, bob]);
  const room = await found(ROOM, stoa.rest, [alice], { maxusers: 1 });
  await stoa.rest.change(t, { group_max_members: 10, groups_per_user: 1 });
  await assert.rejects(alice.conn.createGroupVNext({ groupName: 'large', maxMemberCount: 11 }), { type: 607 });
  await assert.rejects(alice.conn.createGroupVNext({ groupName: 'one too many', maxMemberCount: 5 }), { type: 50 });
  await assert.rejects(bob.conn.joinChatRoom({ roomId: room.target }), { type: 704 });
  await assert.rejects(room.ask(alice, 'addUsersToChatRoom', { users: [bob.user] }), { type: 704 });
  await assert.rejects(room.ask(bob, 'getChatRoomAdmin'), { type: 702 });
  const many = Array.from({ length: 61 }, (_, i) => `user${i}`);
  await assert.rejects(place.ask(alice, 'inviteUsersToGroup', { users: many }), { type: 50 });
  const attributes = { 'a key that is too long': 'x' };
  await assert.rejects(place.ask(bob, 'setGroupMemberAttributes', { userId: bob.user, memberAttributes: attributes }), { type: 609 });
});

test('services that an app has switched off are refused with 505', async (t) => {
  const [alice] = await clients(t, stoa, 'alice'); // on the node whose settings change
  const place = await found(GROUP, stoa.rest, [alice]);
  const room = await found(ROOM, stoa.rest, [alice]);
  await stoa.rest.change(t, { threads: false, group_member_attributes: false, room_attributes: false });
  await assert.rejects(alice.conn.getChatThreads({ parentId: place.target, pageSize: 20 }), { type: 505 });
  await assert.rejects(alice.conn.createChatThread({ parentId: place.target, name: 'off', messageId: '1' }), { type: 505 });
  await assert.rejects(place.ask(alice, 'getGroupMemberAttributes', { userId: alice.user }), { type: 505 });
  await assert.rejects(room.ask(alice, 'setChatRoomAttribute', { attributeKey: 'k', attributeValue: 'v' }), { type: 505 });
});

for (const sdk of ['agora-chat-1.3.1', 'agora-chat-1.2.0', 'agora-chat-1.0.5', 'easemob-websdk', 'easemob-websdk-4.7']) {
  test(`${sdk} lives in groups with agora-chat`, async (t) => {
    const [alice] = await clients(t, stoa, 'alice');
    const other = await clientOf(t, await stoa.person('bob'), { sdk });
    const form = GROUP.form({ owner: alice.user, name: 'mixed', members: [other.user] });
    const place = new Place(GROUP, GROUP.found((await stoa.rest.admin('POST', '/chatgroups', form)).data));
    await other.next('onGroupChange', ({ type, gid }) => type === 'direct_joined' && gid === place.target); // in all releases
    await place.say(alice, 'welcome');
    assert.equal((await other.nextText('welcome')).to, place.target);
    await place.say(other, 'thanks');
    assert.equal((await alice.nextText('thanks')).from, other.user);
    await place.ask(alice, 'muteGroupMember', { username: other.user, muteDuration: -1 });
    await assert.rejects(place.say(other, 'muted'));
    await other.conn.quitGroup({ groupId: place.target });
    await place.went(alice, other);
  });
}

for (const sdk of ['agora-chat-1.3.1', 'agora-chat-1.2.0', 'agora-chat-1.0.5', 'easemob-websdk', 'easemob-websdk-4.7']) {
  test(`${sdk} lives in chatrooms with agora-chat`, async (t) => {
    const [alice] = await clients(t, stoa, 'alice');
    const other = await clientOf(t, await stoa.person('bob'), { sdk });
    const room = await found(ROOM, stoa.rest, [alice]);
    await other.conn.joinChatRoom({ roomId: room.target }); // 1.0.5 asks over HTTP
    await room.came(alice, other);
    await room.say(alice, 'welcome');
    assert.equal((await other.nextText('welcome')).to, room.target);
    await room.say(other, 'thanks');
    assert.equal((await alice.nextText('thanks')).from, other.user);
    await other.conn.quitChatRoom({ roomId: room.target });
    await room.went(alice, other);
  });
}
