'use strict';

// What groups and chatrooms hold beside messages: announcements, shared files, attributes.

const assert = require('node:assert/strict');
const { GROUP, ROOM, clientOf, clients, found } = require('../lib/places');
const { proves } = require('../lib/parity');
const { world } = require('../lib/world');

const stoa = world();

async function inside(t, words) {
  const [alice, bob] = await clients(t, stoa, 'alice', 'bob');
  return { place: await found(words, stoa.rest, [alice, bob]), alice, bob };
}

for (const [words, update, fetch] of [
  [GROUP, 'updateGroupAnnouncement', 'fetchGroupAnnouncement'],
  [ROOM, 'updateChatRoomAnnouncement', 'fetchChatRoomAnnouncement'],
]) {
  proves([update, fetch], `the announcement of a ${words.kind} is told, read and taken away`, async (t) => {
    const { place, alice, bob } = await inside(t, words);
    assert.equal((await place.texts(bob, fetch)).data.announcement, '');
    const { data } = await place.texts(alice, update, { announcement: 'tonight ☃ at 8' });
    assert.deepEqual([data.id, data.result], [place.target, true]);
    const event = await place.heard(bob, 'updateAnnouncement');
    assert.deepEqual([event.from, event.announcement], [alice.user, 'tonight ☃ at 8']);
    assert.equal((await place.texts(bob, fetch)).data.announcement, 'tonight ☃ at 8');
    await assert.rejects(place.texts(bob, update, { announcement: 'mine' }), { type: 603 });
    await assert.rejects(place.texts(alice, update, { announcement: 'x'.repeat(513) }), { type: 17 });
    assert.equal((await place.texts(bob, fetch)).data.announcement, 'tonight ☃ at 8');

    await place.texts(alice, update, { announcement: '' });
    await place.heard(bob, 'deleteAnnouncement');
    assert.equal((await place.texts(bob, fetch)).data.announcement, '');
  });
}

// upload resolves with the answer's data, or with the error that the SDK reports.
function upload(place, client, method, text, name = 'notes.txt') {
  const file = { data: new File([text], name, { type: 'text/plain' }), filename: name, filetype: 'txt' };
  return new Promise((onFileUploadComplete, onFileUploadError) => {
    place.texts(client, method, { file, onFileUploadComplete, onFileUploadError });
  });
}

for (const [words, share, list, remove, rest] of [
  [GROUP, 'uploadGroupSharedFile', 'getGroupSharedFilelist', 'deleteGroupSharedFile', []],
  [GROUP, 'uploadGroupSharedFile', 'fetchGroupSharedFileList', 'deleteGroupSharedFile', ['downloadGroupSharedFile']],
  [ROOM, 'uploadChatRoomSharedFile', 'getChatRoomSharedFilelist', 'deleteChatRoomSharedFile', []],
  [ROOM, 'uploadChatRoomSharedFile', 'fetchChatRoomSharedFileList', 'deleteChatRoomSharedFile', []],
]) {
  proves([share, list, remove, ...rest], `a file that ${share} shares is in ${list} until ${remove}`, async (t) => {
    const { place, alice, bob } = await inside(t, words);
    const { data: shared } = await upload(place, bob, share, 'three words here');
    assert.deepEqual([shared.file_name, shared.file_size, shared.file_owner], ['notes.txt', 16, bob.user]);
    assert.equal((await place.heard(alice, 'uploadFile')).from, bob.user);
    const { data: files } = await place.texts(alice, list);
    assert.deepEqual(files.map(({ file_id, file_name, file_owner, file_size }) => [file_id, file_name, file_owner, file_size]),
      [[shared.file_id, 'notes.txt', bob.user, 16]]);
    assert.ok(Math.abs(files[0].created - Date.now()) < 60_000);

    for (const method of rest) {
      const blob = await new Promise((onFileDownloadComplete, onFileDownloadError) => {
        place.texts(alice, method, { fileId: shared.file_id, onFileDownloadComplete, onFileDownloadError });
      });
      assert.equal(await blob.text(), 'three words here');
    }
    const { data: other } = await upload(place, alice, share, 'by the owner', 'own.txt');
    await place.heard(bob, 'uploadFile', ({ from }) => from === alice.user);
    await assert.rejects(place.texts(bob, remove, { fileId: other.file_id }), { type: 603 });
    assert.equal((await place.texts(bob, remove, { fileId: shared.file_id })).data.result, true);
    assert.equal((await place.heard(alice, 'deleteFile')).from, bob.user);
    assert.deepEqual((await place.texts(bob, list)).data.map(({ file_id }) => file_id), [other.file_id]);
  });
}

for (const [words, share] of [
  [GROUP, 'uploadGroupSharedFile'],
  [ROOM, 'uploadChatRoomSharedFile'],
]) {
  proves(share, `${share} refuses what is too large with 101`, async (t) => {
    const { place, alice } = await inside(t, words);
    await stoa.rest.change(t, { file_max_bytes: 1024 });
    const error = await upload(place, alice, share, 'x'.repeat(2048)).then(assert.fail, (error) => error);
    assert.equal(error.type, 101);
  });
}

proves(['setGroupMemberAttributes', 'getGroupMemberAttributes', 'getGroupMembersAttributes'],
  'members of a group have attributes, which all may read', async (t) => {
    const { place, alice, bob } = await inside(t, GROUP);
    const tablet = await clientOf(t, bob.person);
    await place.ask(bob, 'setGroupMemberAttributes', { userId: bob.user, memberAttributes: { nick: 'Bobby ☃', rank: '7' } });
    const event = await place.heard(alice, 'memberAttributesUpdate');
    assert.deepEqual([event.userId, event.attributes], [bob.user, { nick: 'Bobby ☃', rank: '7' }]);
    const own = await tablet.next('onMultiDeviceEvent', ({ operation }) => operation === 'memberAttributesUpdate');
    assert.deepEqual([own.id, own.attributes], [place.target, { nick: 'Bobby ☃', rank: '7' }]);

    assert.deepEqual((await place.ask(alice, 'getGroupMemberAttributes', { userId: bob.user })).data, { nick: 'Bobby ☃', rank: '7' });
    const both = { userIds: [alice.user, bob.user] };
    assert.deepEqual((await place.ask(alice, 'getGroupMembersAttributes', { ...both, keys: ['rank'] })).data, { [alice.user]: {}, [bob.user]: { rank: '7' } });

    await assert.rejects(place.ask(bob, 'setGroupMemberAttributes', { userId: alice.user, memberAttributes: { nick: 'Al' } }), { type: 603 });
    await place.ask(alice, 'setGroupMemberAttributes', { userId: bob.user, memberAttributes: { rank: '' } });
    await place.heard(bob, 'memberAttributesUpdate', ({ from }) => from === alice.user);
    assert.deepEqual((await place.ask(bob, 'getGroupMemberAttributes', { userId: bob.user })).data, { nick: 'Bobby ☃' });
    await assert.rejects(place.ask(bob, 'setGroupMemberAttributes', { userId: bob.user, memberAttributes: { nick: 'x'.repeat(513) } }), { type: 50 });
  });

proves(['setChatRoomAttributes', 'setChatRoomAttribute', 'getChatRoomAttributes', 'removeChatRoomAttribute', 'removeChatRoomAttributes'],
  'a chatroom has attributes, each the property of who set it', async (t) => {
    const { place, alice, bob } = await inside(t, ROOM);
    const set = await place.ask(bob, 'setChatRoomAttributes', { attributes: { song: 'one', 'bad key': 'x' }, autoDelete: false });
    assert.deepEqual([set.data.status, set.data.successKeys], ['fail', ['song']]);
    let event = await place.heard(alice, 'updateChatRoomAttributes');
    assert.deepEqual([event.from, event.attributes], [bob.user, { song: 'one' }]);
    assert.deepEqual((await place.ask(alice, 'getChatRoomAttributes', {})).data, { song: 'one' });

    await assert.rejects(place.ask(alice, 'setChatRoomAttribute', { attributeKey: 'song', attributeValue: 'two' }), { type: 52 });
    await assert.rejects(place.ask(alice, 'removeChatRoomAttribute', { attributeKey: 'song' }), { type: 52 });
    await place.ask(alice, 'setChatRoomAttribute', { attributeKey: 'song', attributeValue: 'two', isForced: true });
    event = await place.heard(bob, 'updateChatRoomAttributes', ({ from }) => from === alice.user);
    assert.deepEqual([event.from, event.attributes], [alice.user, { song: 'two' }]);
    await place.ask(alice, 'setChatRoomAttribute', { attributeKey: 'dj', attributeValue: 'alice' });
    assert.deepEqual((await place.ask(bob, 'getChatRoomAttributes', { attributeKeys: ['dj', 'none'] })).data, { dj: 'alice' });

    await place.ask(alice, 'removeChatRoomAttribute', { attributeKey: 'dj' });
    event = await place.heard(bob, 'removeChatRoomAttributes', ({ from }) => from === alice.user);
    assert.deepEqual([event.from, event.attributes], [alice.user, ['dj']]);
    assert.equal((await place.ask(bob, 'removeChatRoomAttributes', { attributeKeys: ['song'], isForced: true })).data.status, 'success');
    assert.deepEqual((await place.heard(alice, 'removeChatRoomAttributes', ({ from }) => from === bob.user)).attributes, ['song']);
    assert.deepEqual((await place.ask(alice, 'getChatRoomAttributes', {})).data, {});
  });

proves('getGroupMsgReadUser', 'a group message tells its sender who has read it', async (t) => {
  const [alice, bob, carol] = await clients(t, stoa, 'alice', 'bob', 'carol');
  const place = await found(GROUP, stoa.rest, [alice, bob, carol]);
  const { serverMsgId } = await place.say(alice, 'do you read me?', { msgConfig: { allowGroupAck: true } });
  const readers = async () => (await place.ask(alice, 'getGroupMsgReadUser', { msgId: serverMsgId })).data;
  assert.equal((await readers()).total, 0);
  await bob.nextText();
  await bob.send({ type: 'read', chatType: 'groupChat', to: place.target, id: serverMsgId, ackContent: '{}', msgConfig: { allowGroupAck: true } });
  await alice.next('onReadMessage');
  const answer = await readers();
  assert.deepEqual([answer.total, answer.userlist, answer.is_last], [1, [bob.user], true]);
});
