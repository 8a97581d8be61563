'use strict';

// What a backend sends, recalls and edits over REST, as unmodified clients have it.

const assert = require('node:assert/strict');
const { test } = require('node:test');
const { clients } = require('../lib/places');
const { world } = require('../lib/world');

const stoa = world();

// send resolves with the id of the message to one receiver.
async function send(route, to, message) {
  const { data } = await stoa.rest.admin('POST', `/messages/${route}`, { to: [to], ...message });
  return data[to];
}

const text = (msg) => ({ type: 'txt', body: { msg } });

test('messages of a backend reach users at once, with what they hold', async (t) => {
  const [bob] = await clients(t, stoa, 'bob');
  const id = await send('users', bob.user, { ...text('welcome'), from: 'News', ext: { n: 1, s: 'x', o: { a: [1] } } });
  const message = await bob.next('onTextMessage');
  assert.equal(message.id, id);
  assert.equal(message.from, 'news');
  assert.equal(message.to, bob.user);
  assert.deepEqual(message.ext, { n: 1, s: 'x', o: { a: [1] } });
  const url = 'http://127.0.0.1:1/x';
  for (const [type, body, event, check] of [
    ['img', { url, filename: 'a.png', size: { width: 3, height: 4 } }, 'onImageMessage', (m) => [m.width, m.height].join() === '3,4'],
    ['audio', { url, filename: 'a.amr', length: 5 }, 'onAudioMessage', (m) => m.length === 5],
    ['video', { url, filename: 'a.mp4', length: 6, file_length: 7 }, 'onVideoMessage', (m) => m.file_length === 7],
    ['file', { url, filename: 'a.pdf' }, 'onFileMessage', (m) => m.filename === 'a.pdf'],
    ['loc', { lat: '1.5', lng: 2, addr: 'here' }, 'onLocationMessage', (m) => m.lat === 1.5 && m.addr === 'here'],
    ['cmd', { action: 'go' }, 'onCmdMessage', (m) => m.action === 'go'],
    ['custom', { customEvent: 'e', customExts: { k: 'v' } }, 'onCustomMessage', (m) => m.customEvent === 'e' && m.customExts.k === 'v'],
  ]) {
    const sent = await send('users', bob.user, { type, body });
    const got = await bob.next(event);
    assert.equal(got.id, sent);
    assert.equal(got.from, 'admin');
    assert.ok(check(got), `${type}: ${JSON.stringify(got)}`);
  }
});

test('the sender has a message of a backend only if it says so', async (t) => {
  const [alice, bob] = await clients(t, stoa, 'alice', 'bob');
  await send('users', bob.user, { ...text('not mine'), from: alice.user });
  await send('users', bob.user, { ...text('mine'), from: alice.user, sync_device: true });
  assert.equal((await alice.next('onTextMessage')).msg, 'mine');
  assert.equal((await bob.next('onTextMessage')).msg, 'not mine');
});

test('messages of a backend reach groups, some of a group, and rooms', async (t) => {
  const [alice, bob] = await clients(t, stoa, 'alice', 'bob');
  const { data: { groupid } } = await stoa.rest.admin('POST', '/chatgroups',
    { groupname: 'g', desc: 'd', public: true, maxusers: 10, owner: alice.user, members: [bob.user] });
  await send('chatgroups/users', groupid, { ...text('for bob'), users: [bob.user] });
  const id = await send('chatgroups', groupid, { ...text('for all'), need_group_ack: true });
  assert.equal((await bob.next('onTextMessage')).msg, 'for bob');
  for (const client of [alice, bob]) {
    const message = await client.next('onTextMessage');
    assert.deepEqual([message.id, message.msg, message.chatType, message.from, message.to], [id, 'for all', 'groupChat', 'admin', groupid]);
    assert.equal(message.msgConfig.allowGroupAck, true);
  }
  const room = (await stoa.rest.admin('POST', '/chatrooms', { name: 'r', description: 'd', owner: alice.user })).data.id;
  await bob.conn.joinChatRoom({ roomId: room });
  await send('chatrooms', room, { ...text('in the room'), chatroom_msg_level: 'high' });
  const message = await bob.next('onTextMessage');
  assert.deepEqual([message.msg, message.chatType, message.to], ['in the room', 'chatRoom', room]);
});

test('a backend edits and recalls, and clients are told', async (t) => {
  const [alice, bob] = await clients(t, stoa, 'alice', 'bob');
  const { serverMsgId } = await alice.text(bob.user, 'one');
  await bob.next('onTextMessage');
  await stoa.rest.admin('PUT', `/messages/rewrite/${serverMsgId}`, { user: 'editor', new_msg: { type: 'txt', msg: 'two' } });
  for (const client of [alice, bob]) {
    const edited = await client.next('onModifiedMessage');
    assert.deepEqual([edited.id, edited.msg, edited.from], [serverMsgId, 'two', alice.user]);
    assert.equal(edited.modifiedInfo.operatorId, 'editor');
  }
  const { data } = await stoa.rest.admin('POST', '/messages/msg_recall', { msg_id: serverMsgId, to: bob.user, chat_type: 'chat', force: true });
  assert.equal(data.recalled, 'yes');
  for (const client of [alice, bob]) {
    const event = await client.next('onRecallMessage');
    assert.deepEqual([event.mid, event.from, event.to], [serverMsgId, alice.user, bob.user]);
  }
});

test('imported messages are in history, and no device is given them', async (t) => {
  const [alice, bob] = await clients(t, stoa, 'alice', 'bob');
  const { data } = await stoa.rest.admin('POST', '/messages/users/import',
    { from: alice.user, target: bob.user, ...text('long ago'), msg_timestamp: Date.now() - 3_600_000 });
  await alice.text(bob.user, 'now');
  assert.equal((await bob.next('onTextMessage')).msg, 'now');
  const page = await bob.conn.getHistoryMessages({ targetId: alice.user, chatType: 'singleChat', pageSize: 10 });
  assert.deepEqual(page.messages.map((m) => m.msg), ['now', 'long ago']);
  assert.equal(page.messages[1].id, data.msg_id);
  assert.deepEqual(bob.texts(), ['now']);
});
