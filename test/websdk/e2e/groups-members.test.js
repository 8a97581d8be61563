'use strict';

// How people come into a group, what they are there, and how they go.

const assert = require('node:assert/strict');
const { GROUP, clientOf, clients, found } = require('../lib/places');
const { proves } = require('../lib/parity');
const { world } = require('../lib/world');

const stoa = world();

// group makes a group of the first people named; the last ones are signed in and not in it. `more` are fields of the group.
async function group(t, inside, outside = [], more = {}) {
  const all = await clients(t, stoa, ...inside, ...outside);
  const place = await found(GROUP, stoa.rest, all.slice(0, inside.length), more);
  return { place, ...Object.fromEntries([...inside, ...outside].map((name, i) => [name, all[i]])) };
}

const isFrom = (client) => ({ from }) => from === client.user;

for (const list of ['listGroupMembers', 'listGroupMember']) {
  proves(list, `${list} pages through the members by number`, async (t) => {
    const { place, alice, bob, carol } = await group(t, ['alice', 'bob', 'carol']);
    const page = async (pageNum) => (await place.ask(carol, list, { pageNum, pageSize: 2 })).data;
    assert.deepEqual(await page(1), [{ owner: alice.user }, { member: bob.user }]);
    assert.deepEqual(await page(2), [{ member: carol.user }]);
    assert.deepEqual(await page(3), []);
  });
}

proves('getGroupMembers', 'getGroupMembers pages through the members with their roles', async (t) => {
  const { place, alice, bob, carol } = await group(t, ['alice', 'bob', 'carol']);
  await place.ask(alice, 'setGroupAdmin', { username: carol.user });
  const seen = [];
  let cursor;
  do {
    const { data } = await place.ask(bob, 'getGroupMembers', { cursor, limit: 2 });
    seen.push(...data.members);
    ({ cursor } = data);
  } while (cursor);
  assert.deepEqual(seen.map(({ role, userId }) => [role, userId]), [['owner', alice.user], ['member', bob.user], ['admin', carol.user]]);
  for (const { joinedTime } of seen) assert.ok(Math.abs(joinedTime - Date.now()) < 60_000);
});

for (const [set, remove] of [
  ['setGroupAdmin', 'removeGroupAdmin'],
  ['setAdmin', 'removeAdmin'],
]) {
  proves([set, remove, 'getGroupAdmin'], `${set} makes an admin until ${remove}`, async (t) => {
    const { place, alice, bob, carol } = await group(t, ['alice', 'bob', 'carol']);
    await assert.rejects(place.ask(bob, set, { username: bob.user }), { type: 603 });
    assert.equal((await place.ask(alice, set, { username: bob.user })).data.newadmin, bob.user);
    const made = await place.heard(bob, 'setAdmin');
    assert.deepEqual([made.from, made.userId], [alice.user, bob.user]);
    assert.deepEqual((await place.ask(carol, 'getGroupAdmin')).data, [bob.user]);
    await place.ask(bob, 'muteGroupMember', { username: carol.user, muteDuration: 1000 });
    assert.equal((await place.ask(alice, remove, { username: bob.user })).data.oldadmin, bob.user);
    assert.equal((await place.heard(bob, 'removeAdmin')).from, alice.user);
    assert.deepEqual((await place.ask(carol, 'getGroupAdmin')).data, []);
    await assert.rejects(place.ask(bob, 'muteGroupMember', { username: carol.user, muteDuration: 1000 }), { type: 603 });
  });
}

for (const leave of ['leaveGroup', 'quitGroup']) {
  proves(leave, `${leave} tells those who stay`, async (t) => {
    const { place, alice, bob } = await group(t, ['alice', 'bob']);
    const tablet = await clientOf(t, bob.person);
    assert.equal((await place.ask(bob, leave)).data.result, true);
    const left = await place.heard(alice, 'memberAbsence');
    assert.deepEqual([left.from, left.memberCount], [bob.user, 1]);
    await tablet.next('onGroupChange', ({ type, gid }) => type === 'leave' && gid === place.target);
    assert.deepEqual(await place.roles(stoa.rest), [`owner ${alice.user}`]);
    await assert.rejects(place.say(bob, 'from outside'), { type: 602 });
    await assert.rejects(place.ask(alice, leave), { type: 603 });
  });
}

for (const invite of ['inviteUsersToGroup', 'inviteToGroup']) {
  proves(invite, `${invite} brings users in where nobody needs to agree`, async (t) => {
    const { place, alice, bob, carol, dave } = await group(t, ['alice', 'bob'], ['carol', 'dave']);
    const { data } = await place.ask(alice, invite, { users: [carol.user, dave.user] });
    assert.deepEqual(data.map(({ user, result }) => [user, result]), [[carol.user, true], [dave.user, true]]);
    for (const client of [carol, dave]) assert.equal((await place.heard(client, 'directJoined')).from, alice.user);
    await place.came(bob, carol, dave);
    await place.say(bob, 'welcome');
    await carol.nextText('welcome');
    await assert.rejects(place.ask(alice, invite, { users: [carol.user] }), { type: 601 });
    await assert.rejects(place.ask(bob, invite, { users: [bob.user] }), { type: 603 });
  });
}

for (const [accept, decline] of [
  ['acceptGroupInvite', 'rejectGroupInvite'],
  ['agreeInviteIntoGroup', 'rejectInviteIntoGroup'],
]) {
  proves(['inviteUsersToGroup', accept, decline], `an invitation waits for ${accept} or ${decline}`, async (t) => {
    const { place, alice, bob, carol, dave } = await group(t, ['alice', 'bob'], ['carol', 'dave'], { invite_need_confirm: true });
    await place.ask(alice, 'inviteUsersToGroup', { users: [carol.user, dave.user] });
    for (const client of [carol, dave]) assert.equal((await place.heard(client, 'inviteToJoin')).from, alice.user);
    assert.deepEqual(await place.roles(stoa.rest), [`owner ${alice.user}`, `member ${bob.user}`]);
    await place.ask(carol, accept, { invitee: carol.user });
    assert.equal((await place.heard(alice, 'acceptInvite')).from, carol.user);
    await place.came(bob, carol);
    await place.ask(dave, decline, { invitee: dave.user });
    assert.equal((await place.heard(alice, 'rejectInvite')).from, dave.user);
    assert.deepEqual(await place.roles(stoa.rest), [`owner ${alice.user}`, `member ${bob.user}`, `member ${carol.user}`]);
    await assert.rejects(place.ask(dave, accept, { invitee: dave.user }), { type: 603 });
  });
}

proves('joinGroup', 'anybody joins an open group, and nobody a private one', async (t) => {
  const { place, alice, bob } = await group(t, ['alice'], ['bob'], { maxusers: 2 });
  const closed = await found(GROUP, stoa.rest, [alice], { public: false });
  assert.equal((await place.ask(bob, 'joinGroup', { message: 'hello' })).data.result, true);
  const came = await place.heard(alice, 'memberPresence');
  assert.deepEqual([came.from, came.memberCount], [bob.user, 2]);
  assert.deepEqual(await place.roles(stoa.rest), [`owner ${alice.user}`, `member ${bob.user}`]);
  await assert.rejects(closed.ask(bob, 'joinGroup', { message: 'hello' }), { type: 603 });
  const [carol] = await clients(t, stoa, 'carol');
  await assert.rejects(place.ask(carol, 'joinGroup', { message: 'is there room?' }), { type: 606 });
  await assert.rejects(place.ask(bob, 'joinGroup', { message: 'again' }), { type: 601 });
});

for (const [accept, reject] of [
  ['acceptGroupJoinRequest', 'rejectGroupJoinRequest'],
  ['agreeJoinGroup', 'rejectJoinGroup'],
]) {
  proves(['joinGroup', accept, reject], `who asks to join waits for ${accept} or ${reject}`, async (t) => {
    const { place, alice, bob, carol, dave } = await group(t, ['alice', 'bob'], ['carol', 'dave'], { membersonly: true });
    await place.ask(alice, 'setGroupAdmin', { username: bob.user });
    for (const client of [carol, dave]) {
      await place.ask(client, 'joinGroup', { message: `it is ${client.user}` });
      for (const judge of [alice, bob]) assert.equal((await place.heard(judge, 'requestToJoin', isFrom(client))).reason, `it is ${client.user}`);
    }
    assert.deepEqual(await place.roles(stoa.rest), [`owner ${alice.user}`, `member ${bob.user}`]);
    await assert.rejects(place.ask(carol, accept, { applicant: carol.user }), { type: 602 });
    await place.ask(bob, accept, { applicant: carol.user });
    assert.equal((await place.heard(carol, 'acceptRequest')).from, bob.user);
    await place.came(alice, carol);
    await place.ask(alice, reject, { applicant: dave.user, reason: 'full boat' });
    const declined = await place.heard(dave, 'joinPublicGroupDeclined');
    assert.deepEqual([declined.from, declined.userId], [alice.user, dave.user]);
    assert.deepEqual(await place.roles(stoa.rest), [`owner ${alice.user}`, `member ${bob.user}`, `member ${carol.user}`]);
  });
}

for (const [one, several] of [
  ['removeGroupMember', 'removeGroupMembers'],
  ['removeSingleGroupMember', 'removeMultiGroupMember'],
]) {
  proves([one, several], `${one} and ${several} put members out`, async (t) => {
    const { place, alice, bob, carol, dave } = await group(t, ['alice', 'bob', 'carol', 'dave']);
    await assert.rejects(place.ask(bob, one, { username: carol.user }), { type: 603 });
    assert.equal((await place.ask(alice, one, { username: bob.user })).data.result, true);
    assert.equal((await place.heard(bob, 'removeMember')).from, alice.user);
    await place.went(carol, bob);
    const { data } = await place.ask(alice, several, { users: [carol.user, dave.user] });
    assert.deepEqual(data.map(({ user, result }) => [user, result]), [[carol.user, true], [dave.user, true]]);
    for (const client of [carol, dave]) await place.heard(client, 'removeMember');
    assert.deepEqual(await place.roles(stoa.rest), [`owner ${alice.user}`]);
    await assert.rejects(place.say(bob, 'from outside'), { type: 602 });
    await assert.rejects(place.ask(alice, one, { username: bob.user }), { type: 602 });
  });
}

proves('inviteUsersToGroup', 'who was away is told at login what became of the membership', async (t) => {
  const { place, alice } = await group(t, ['alice']);
  const bob = await stoa.person('bob');
  await place.ask(alice, 'inviteUsersToGroup', { users: [bob.id] });
  const phone = await clientOf(t, bob, { device: 'phone' });
  await place.heard(phone, 'directJoined');
  phone.close();
  await bob.rest.gone(bob.id, phone.resource);
  await place.say(alice, 'while bob was away');
  await place.ask(alice, 'removeGroupMember', { username: bob.id });
  const back = await clientOf(t, bob, { device: 'phone' });
  await back.nextText('while bob was away');
  await place.heard(back, 'removeMember');
});
