'use strict';

// The app's backend is asked about messages before they are delivered, and told afterwards of what has happened.

const assert = require('node:assert/strict');
const { createHash, createHmac } = require('node:crypto');
const http = require('node:http');
const { test } = require('node:test');
const { ROOM, clients, found } = require('../lib/places');
const { until } = require('../lib/wait');
const { world } = require('../lib/world');

const stoa = world();
const secret = 's3cret';

// backend is a server that keeps what it is sent, and gives the answers of `answer`.
async function backend(t, answer = () => ({})) {
  const calls = [];
  const server = http.createServer((request, response) => {
    let text = '';
    request.setEncoding('utf8');
    request.on('data', (piece) => (text += piece));
    request.on('end', () => {
      const call = JSON.parse(text);
      const hmac = createHmac('sha256', secret).update(text).digest('hex');
      const md5 = createHash('md5').update(`${call.callId}${secret}${call.timestamp}`).digest('hex');
      calls.push({ ...call, signed: request.headers['x-stoa-signature'] === `sha256=${hmac}` && call.security === md5 });
      response.end(JSON.stringify(answer(call)));
    });
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.after(() => server.close());
  const find = (like) => calls.find((call) => Object.entries(like).every(([key, value]) => call[key] === value));
  return {
    url: `http://127.0.0.1:${server.address().port}/`,
    calls,
    heard: (like) => until(() => find(like), `a callback like ${JSON.stringify(like)} among ${JSON.stringify(calls)}`),
    operation: (group, name) => until(() => calls.find((call) => call.group_id === group && call.payload.operation === name), `${name} of ${group}`),
  };
}

// rule has the app's backend called until the test ends.
async function rule(t, kind, name, definition) {
  const path = `/callbacks/${kind}/${name}`;
  await stoa.rest.admin('PUT', path, { secret, ...definition });
  t.after(() => stoa.rest.admin('DELETE', path));
}

test('a message, its receipt and its recall are told to the backend', async (t) => {
  const told = await backend(t);
  await rule(t, 'post', 'messages', { url: told.url });
  const [alice, bob] = await clients(t, stoa, 'alice', 'bob');
  const login = await told.heard({ reason: 'login', user: `${stoa.appKey}_${alice.user}@easemob.com/${alice.resource}` });
  assert.deepEqual([login.status, login.signed], ['online', true]);

  const sent = await alice.text(bob.user, 'hello ☃');
  const got = await bob.nextText('hello ☃');
  const chat = await told.heard({ chat_type: 'chat', msg_id: sent.serverMsgId });
  assert.deepEqual([chat.eventType, chat.from, chat.to, chat.payload.bodies, chat.callId, chat.appkey, chat.signed],
    ['chat', alice.user, bob.user, [{ type: 'txt', msg: 'hello ☃' }], `${stoa.appKey}_${sent.serverMsgId}`, stoa.appKey, true]);

  await bob.conn.send(bob.sdk.message.create({ type: 'read', chatType: 'singleChat', to: alice.user, id: got.id }));
  const read = await until(() => told.calls.find((call) => call.chat_type === 'read_ack' && call.payload.ack_message_id === got.id), 'a receipt');
  assert.deepEqual([read.from, read.to], [bob.user, alice.user]);

  await alice.conn.recallMessage({ mid: sent.serverMsgId, to: bob.user, chatType: 'singleChat' });
  const recall = await told.heard({ chat_type: 'recall', recall_id: sent.serverMsgId });
  assert.deepEqual([recall.from, recall.to, recall.payload.bodies], [alice.user, bob.user, []]);
});

test('what happens to a group and a chatroom is told to the backend', async (t) => {
  const told = await backend(t);
  const recent = await backend(t);
  await rule(t, 'post', 'old', { url: told.url, events: ['message', 'group', 'room', 'contact'] });
  await rule(t, 'post', 'new', { url: recent.url, events: ['group'], format: 'group_op_event' });
  const [alice, bob] = await clients(t, stoa, 'alice', 'bob');
  const { data } = await alice.conn.createGroupVNext({ groupName: 'told', members: [], isPublic: true, needApprovalToJoin: false });
  const group = data.groupId;
  const created = await told.operation(group, 'create');
  assert.deepEqual([created.chat_type, created.payload.muc_id, created.payload.is_chatroom], ['muc', `${stoa.appKey}_${group}@conference.easemob.com`, false]);
  await bob.conn.joinGroup({ groupId: group, message: '' });
  assert.match((await told.operation(group, 'presence')).from, new RegExp(`^${stoa.appKey}_${bob.user}@easemob.com`));
  const joined = await recent.heard({ id: group, operation: 'JOIN' });
  assert.deepEqual([joined.event, joined.type, joined.payload.member, joined.member_count, joined.signed], ['group_op_event', 'GROUP', [bob.user], 2, true]);

  const sent = await alice.conn.send(alice.sdk.message.create({ type: 'txt', chatType: 'groupChat', to: group, msg: 'to all' }));
  const chat = await told.heard({ chat_type: 'groupchat', msg_id: sent.serverMsgId });
  assert.deepEqual([chat.group_id, chat.from, chat.payload.bodies[0].msg], [group, alice.user, 'to all']);
  await alice.conn.removeGroupMember({ groupId: group, username: bob.user });
  assert.equal((await told.operation(group, 'kick')).to, `${stoa.appKey}_${bob.user}@easemob.com`);

  const { target: room } = await found(ROOM, stoa.rest, [alice, bob]);
  assert.equal((await told.operation(room, 'create')).payload.is_chatroom, true);
  await bob.conn.leaveChatRoom({ roomId: room });
  assert.match((await told.operation(room, 'absence')).from, new RegExp(`^${stoa.appKey}_${bob.user}@easemob.com`));

  await alice.conn.addContact(bob.user, 'hi');
  assert.equal((await told.heard({ chat_type: 'roster', from: alice.user, to: bob.user })).payload.operation, 'add');
});

test('a text that the backend has replaced is seen by receiver and sender', async (t) => {
  const asked = await backend(t, (call) => ({ valid: true, payload: { bodies: [{ type: 'txt', msg: call.payload.bodies[0].msg.replace('tea', 'coffee') }] } }));
  const told = await backend(t);
  const [alice, bob] = await stoa.people('alice', 'bob');
  await rule(t, 'pre', 'drinks', { url: asked.url, timeout_ms: 3000, fallback: 'block' });
  await rule(t, 'post', 'drinks', { url: told.url, events: ['message'] });
  const from = await alice.connect(t, { useReplacedMessageContents: true });
  const to = await bob.connect(t);
  const sent = await from.text(bob.id, 'a cup of tea');
  assert.equal(sent.message.msg, 'a cup of coffee');
  assert.equal(sent.message.isContentReplaced, true);
  const got = await to.nextText('a cup of coffee');
  assert.equal(got.id, sent.serverMsgId);
  assert.equal(asked.calls[0].signed, true);
  assert.equal((await told.heard({ msg_id: sent.serverMsgId })).payload.bodies[0].msg, 'a cup of coffee');
});

test('a message that the backend refuses is not delivered and not told', async (t) => {
  const asked = await backend(t, () => ({ valid: false, code: 'be kind' }));
  const told = await backend(t);
  const [alice, bob] = await clients(t, stoa, 'alice', 'bob');
  const name = 'kind';
  await stoa.rest.admin('PUT', `/callbacks/pre/${name}`, { url: asked.url, secret, timeout_ms: 3000, report_error: true });
  await rule(t, 'post', name, { url: told.url, events: ['message'] });
  await assert.rejects(alice.text(bob.user, 'you fool'), { type: 502 });
  await stoa.rest.admin('DELETE', `/callbacks/pre/${name}`);
  const sent = await alice.text(bob.user, 'dear friend');
  await told.heard({ msg_id: sent.serverMsgId });
  assert.deepEqual(told.calls.map((call) => call.payload.bodies[0].msg), ['dear friend']);
});
