'use strict';

// Each code that the current web SDK can raise, raised by the situation that it names, on a server of its own.

const assert = require('node:assert/strict');
const http = require('node:http');
const { download } = require('../lib/download');
const { raises } = require('../lib/errors');
const { kicked } = require('../lib/kicked');
const { GROUP, ROOM, found } = require('../lib/places');
const { Proxy } = require('../lib/proxy');
const { refused } = require('../lib/refused');
const { until } = require('../lib/wait');
const { localWorld } = require('../lib/world');

const stoa = localWorld();
const ABSENT = '281474976710655';

async function connected(t, person, options) {
  const client = await person.connect(t, options);
  client.user = person.id;
  client.person = person;
  return client;
}

async function people(t, ...names) {
  return Promise.all((await stoa.people(...names)).map((person) => connected(t, person)));
}

const advance = (by) => stoa.rest.admin('POST', '/rehearsals/clock', { advance: by });

// is checks the code of a call that must be refused.
async function is(code, call) {
  const error = await refused(call, `the call that is to end with ${code}`);
  assert.equal(error.type, code, JSON.stringify(error));
  return error;
}

// login lets a client sign in that must be refused, and checks that the code also reaches the listeners.
async function login(code, client, credentials) {
  await is(code, client.open(credentials));
  assert.equal((await client.next('onError')).type, code);
  assert.equal((await client.next('onDisconnected'))?.type, code);
}

const BOTH = ['web return', 'web onError'];
const RETURN = 'web return';

raises(0, RETURN, 'a call that works', async (t) => {
  const [alice] = await people(t, 'alice');
  assert.equal((await alice.conn.getContacts()).type, 0);
});

raises(1, RETURN, 'a wrong password', async (t) => {
  const ada = await stoa.registered('ada', 'secret');
  await is(1, ada.device(t).open({ user: ada.id, pwd: 'wrong' }));
});

raises(2, BOTH, 'an unknown app key', async (t) => {
  const ada = await stoa.person('ada');
  await login(2, ada.device(t, { appKey: 'stoa#no-such-app' }), { user: ada.id, accessToken: ada.token });
});

raises(16, RETURN, 'no server', async (t) => {
  const ada = await stoa.person('ada');
  const proxy = await Proxy.start(t, ada.base);
  const client = await ada.connect(t, { url: `${proxy.base.replace('http', 'ws')}/ws` });
  proxy.cut();
  await client.next('onReconnecting');
  await is(16, client.conn.joinChatRoom({ roomId: ABSENT }));
});

raises(17, RETURN, 'a name that is taken', async (t) => {
  const ada = await stoa.registered('ada', 'secret');
  await is(17, ada.device(t).conn.registerUser({ username: ada.id, password: 'secret' }));
});

raises(28, BOTH, "another user's token", async (t) => {
  const [ada, eve] = await stoa.people('ada', 'eve');
  await login(28, ada.device(t), { user: ada.id, accessToken: eve.token });
});

raises(31, 'web onError', 'a callback that fails', async (t) => {
  const [alice, bob] = await people(t, 'alice', 'bob');
  const success = () => {
    throw new Error('a bug in the app');
  };
  alice.conn.send({ ...alice.message({ type: 'txt', to: bob.user, msg: 'hello' }), success }); // never settles then
  assert.equal((await alice.next('onError')).type, 31);
  await bob.nextText('hello');
});

raises(39, RETURN, 'a message before the login', async (t) => {
  const ada = await stoa.person('ada');
  await is(39, ada.device(t).text('bob', 'too early'));
});

raises(101, RETURN, 'a file that is too large', async (t) => {
  const [alice, bob] = await people(t, 'alice', 'bob');
  await stoa.rest.change(t, { file_max_bytes: 1000 });
  const data = new File([Buffer.alloc(2000)], 'large.txt', { type: 'text/plain' });
  await is(101, alice.send({ type: 'file', to: bob.user, filename: 'large.txt', file: { data, filename: 'large.txt', filetype: 'txt', url: '' } }));
});

raises(102, RETURN, 'an upload without a token', async (t) => {
  const ada = await stoa.person('ada');
  const client = ada.device(t);
  const error = await new Promise((resolve) => {
    client.sdk.utils.uploadFile.call(client.conn, { accessToken: '', appKey: stoa.appKey, apiUrl: ada.base, file: { data: {} }, onFileUploadError: resolve });
  });
  assert.equal(error.type, 102);
});

async function attachment(t) {
  const [alice, bob, carol] = await people(t, 'alice', 'bob', 'carol');
  const data = new File(['words'], 'notes.txt', { type: 'text/plain' });
  await alice.send({ type: 'file', to: bob.user, filename: 'notes.txt', file: { data, filename: 'notes.txt', filetype: 'txt', url: '' } });
  const { url, secret } = await bob.next('onFileMessage');
  return { carol, secret, url: url.split('?')[0] };
}

raises(200, RETURN, 'a file that is not there', async (t) => {
  const { carol, url } = await attachment(t);
  await is(200, download(carol, { url: url.replace(/[^/]*$/, 'b2b5a3b0-3b0f-4bd5-9a0c-000000000000') }));
});

raises(222, RETURN, 'a file whose secret is not known', async (t) => {
  const { carol, url } = await attachment(t);
  await is(222, download(carol, { url, secret: 'wrong' }));
});

raises(203, RETURN, 'a file that is no combined message', async (t) => {
  const { carol, url, secret } = await attachment(t);
  await is(203, carol.conn.downloadAndParseCombineMessage({ url, secret }));
});

raises(206, 'web onError', 'a login elsewhere, where one device is allowed', async (t) => {
  await stoa.rest.change(t, { multi_device: false });
  const ada = await stoa.person('ada');
  const first = await ada.connect(t);
  await ada.connect(t);
  await kicked(first, 206);
});

for (const [code, what, end] of [
  [207, 'the user is deleted', (user) => stoa.rest.admin('DELETE', `/users/${user}`)],
  [216, 'the password is changed', (user) => stoa.rest.admin('PUT', `/users/${user}/password`, { newpassword: 'new' })],
  [217, 'the backend ends the session', (user) => stoa.rest.admin('POST', `/users/${user}/disconnect`)],
]) {
  raises(code, 'web onError', what, async (t) => {
    const [alice] = await people(t, 'alice');
    await end(alice.user);
    await kicked(alice, code);
  });
}

raises(204, RETURN, 'a message to nobody', async (t) => {
  const [alice] = await people(t, 'alice');
  await is(204, alice.text('nobody-at-all', 'hello'));
});

raises(204, 'web onError', 'a login of a user who has been deleted', async (t) => {
  const ada = await stoa.person('ada');
  const eve = await stoa.person('eve');
  await stoa.rest.admin('DELETE', `/users/${ada.id}`);
  await login(204, ada.device(t), { user: ada.id, accessToken: eve.token });
});

raises(205, RETURN, 'a message without a receiver', async (t) => {
  const [alice] = await people(t, 'alice');
  await is(205, alice.text('', 'to nobody'));
});

raises(208, RETURN, 'a second login', async (t) => {
  const [alice] = await people(t, 'alice');
  await is(208, alice.conn.open({ user: alice.user, accessToken: alice.person.token }));
});

raises(221, RETURN, 'a message to somebody who is no contact', async (t) => {
  await stoa.rest.change(t, { contacts_only: true });
  const [alice, bob] = await people(t, 'alice', 'bob');
  await is(221, alice.text(bob.user, 'hello'));
});

raises(503, RETURN, 'a receipt for a message that is not there', async (t) => {
  const [alice, bob] = await people(t, 'alice', 'bob');
  const group = await found(GROUP, stoa.rest, [bob, alice]);
  const receipt = { type: 'read', chatType: 'groupChat', id: '1', to: group.target, msgConfig: { allowGroupAck: true }, ackContent: 'seen' };
  await is(503, alice.send(receipt));
});

raises(505, RETURN, 'a service that is off', async (t) => {
  const [alice, bob] = await people(t, 'alice', 'bob');
  const { serverMsgId } = await alice.text(bob.user, 'hello');
  await stoa.rest.change(t, { recall: false, presence: false });
  await is(505, alice.conn.recallMessage({ mid: serverMsgId, to: bob.user, chatType: 'singleChat' }));
  await is(505, alice.conn.publishPresence({ description: 'here' }));
});

// inGroup makes a group of bob and alice, in which alice is refused after `change`.
function inGroup(code, what, change) {
  raises(code, RETURN, what, async (t) => {
    const [alice, bob] = await people(t, 'alice', 'bob');
    const group = await found(GROUP, stoa.rest, [bob, alice]);
    await change(group, bob, alice);
    await is(code, alice.text(group.target, 'hello', { chatType: 'groupChat' }));
  });
}

inGroup(506, 'everybody is muted', (group, bob) => group.ask(bob, 'disableSendGroupMsg'));
inGroup(507, 'the sender is muted', (group, bob, alice) => group.ask(bob, 'muteGroupMember', { username: alice.user, muteDuration: 60_000 }));
inGroup(602, 'the sender is no member any more', (group, bob, alice) => group.ask(bob, 'removeGroupMember', { username: alice.user }));
inGroup(605, 'the group has been dissolved', (group, bob) => group.ask(bob, 'destroyGroup'));
inGroup(608, 'the group is disabled', (group) => stoa.rest.admin('POST', `/chatgroups/${group.target}/disable`));

// ruled lays down a rule for as long as a test runs.
async function ruled(t, definition) {
  await stoa.rest.admin('PUT', '/moderation/rules/rude', definition);
  t.after(() => stoa.rest.admin('DELETE', '/moderation/rules/rude'));
}

for (const code of [501, 508]) {
  raises(code, RETURN, 'a text that a rule of the app forbids', async (t) => {
    const [alice, bob] = await people(t, 'alice', 'bob');
    await ruled(t, { words: ['Darn'], action: 'block', code });
    await is(code, alice.text(bob.user, 'ＤＡＲＮ it'));
    await alice.text(bob.user, 'fine');
  });
}

raises(502, RETURN, "a text that the app's backend forbids", async (t) => {
  const [alice, bob] = await people(t, 'alice', 'bob');
  const backend = http.createServer((_, response) => response.end(JSON.stringify({ valid: false, code: 'be kind' }))).listen(0);
  t.after(() => backend.close());
  const rule = { url: `http://127.0.0.1:${backend.address().port}`, secret: 's', timeout_ms: 3000, report_error: true };
  await stoa.rest.admin('PUT', '/callbacks/pre/censor', rule);
  t.after(() => stoa.rest.admin('DELETE', '/callbacks/pre/censor'));
  const error = await is(502, alice.text(bob.user, 'hello'));
  assert.equal(error.message, 'be kind');
});

raises(219, RETURN, 'a user who is muted in the whole app', async (t) => {
  const [alice, bob] = await people(t, 'alice', 'bob');
  await stoa.rest.admin('POST', '/mutes', { username: alice.user, chat: 60 });
  await is(219, alice.text(bob.user, 'hello'));
});

raises(509, RETURN, 'messages that come too fast', async (t) => {
  const [alice, bob] = await people(t, 'alice', 'bob');
  await stoa.rest.change(t, { messages_per_second: 1 });
  const sent = await Promise.allSettled(Array.from({ length: 20 }, (_, i) => alice.text(bob.user, `text ${i}`)));
  const last = sent.at(-1);
  assert.equal(last.reason?.type, 509, JSON.stringify(last));
});

raises(500, RETURN, 'calls that come too fast', async (t) => {
  const [alice] = await people(t, 'alice');
  await stoa.rest.change(t, { rest_per_user_second: 1 });
  const calls = await Promise.allSettled(Array.from({ length: 20 }, () => alice.conn.getContacts()));
  assert.ok(calls.some((call) => call.reason?.type === 500), JSON.stringify(calls.at(-1)));
});

raises(603, RETURN, 'a message to somebody who has blocked the sender', async (t) => {
  const [alice, bob] = await people(t, 'alice', 'bob');
  await bob.conn.addUsersToBlocklist({ name: [alice.user] });
  await is(603, alice.text(bob.user, 'hello'));
});

raises(50, RETURN, 'a message directed to too many', async (t) => {
  const [alice, bob] = await people(t, 'alice', 'bob');
  const group = await found(GROUP, stoa.rest, [bob, alice]);
  const receiverList = Array.from({ length: 21 }, (_, i) => `user${i}`);
  await is(50, alice.text(group.target, 'hello', { chatType: 'groupChat', receiverList }));
});

raises(511, RETURN, 'a message that is too large', async (t) => {
  const [alice, bob] = await people(t, 'alice', 'bob');
  await is(511, alice.text(bob.user, 'x'.repeat(6000)));
});

raises(510, RETURN, 'a socket that is lost while a message is on its way', async (t) => {
  const [ada, bob] = await stoa.people('ada', 'bob');
  const proxy = await Proxy.start(t, ada.base);
  const client = await ada.connect(t, { url: `${proxy.base.replace('http', 'ws')}/ws` });
  proxy.loseUp();
  const sending = client.text(bob.id, 'on its way');
  sending.catch(() => {});
  proxy.cut();
  await is(510, sending);
});

raises(601, RETURN, 'joining a group twice', async (t) => {
  const [alice, bob] = await people(t, 'alice', 'bob');
  const group = await found(GROUP, stoa.rest, [bob, alice]);
  await is(601, group.ask(alice, 'joinGroup', { message: 'again' }));
});

raises(606, RETURN, 'a group that is full', async (t) => {
  const [alice, bob] = await people(t, 'alice', 'bob');
  const group = await found(GROUP, stoa.rest, [bob], { maxusers: 3 });
  await group.ask(bob, 'inviteUsersToGroup', { users: (await stoa.people('c', 'd')).map(({ id }) => id) });
  await is(606, group.ask(alice, 'joinGroup', { message: 'is there room?' }));
});

raises(700, RETURN, 'a list asked for before the login', async (t) => {
  const ada = await stoa.person('ada');
  await is(700, ada.device(t).conn.getContacts());
});

raises(607, RETURN, 'a group that is to be larger than the app allows', async (t) => {
  const [alice] = await people(t, 'alice');
  await stoa.rest.change(t, { group_max_members: 100 });
  await is(607, alice.conn.createGroup({ data: { groupname: 'crowd', desc: 'all', members: [], public: true, maxusers: 101 } }));
});

raises(609, RETURN, 'an attribute of a member whose name is too long', async (t) => {
  const [alice, bob] = await people(t, 'alice', 'bob');
  const group = await found(GROUP, stoa.rest, [bob, alice]);
  const memberAttributes = { ['k'.repeat(17)]: 'v' };
  await is(609, alice.conn.setGroupMemberAttributes({ groupId: group.target, userId: alice.user, memberAttributes }));
});

raises(604, RETURN, 'a text that is no text', async (t) => {
  const [alice, bob] = await people(t, 'alice', 'bob');
  await is(604, alice.text(bob.user, 'half a surrogate pair: \ud83d'));
});

raises(702, RETURN, 'an order in a chatroom that was not joined', async (t) => {
  const [alice, bob] = await people(t, 'alice', 'bob');
  const room = await found(ROOM, stoa.rest, [bob]);
  await is(702, room.texts(alice, 'fetchChatRoomAnnouncement'));
});

raises(1301, RETURN, 'a second thread under a message', async (t) => {
  const [alice, bob] = await people(t, 'alice', 'bob');
  const group = await found(GROUP, stoa.rest, [bob, alice]);
  const { serverMsgId: messageId } = await group.say(alice, 'let us talk about this');
  const create = () => alice.conn.createChatThread({ parentId: group.target, name: 'talk', messageId });
  await create();
  await is(1301, create());
});

raises(-3, RETURN, 'a conversation mark that there is not', async (t) => {
  const [alice, bob] = await people(t, 'alice', 'bob');
  await alice.text(bob.user, 'hello');
  await is(-3, alice.conn.addConversationMark({ conversations: [{ conversationId: bob.user, conversationType: 'singleChat' }], mark: 77 }));
});

raises(-3, 'web onError', 'a device whose name is too long', async (t) => {
  const ada = await stoa.person('ada');
  await login(-3, ada.device(t, { device: 'd'.repeat(300) }), { user: ada.id, accessToken: ada.token });
});

raises(-2, RETURN, 'a call to where no server is', async (t) => {
  const ada = await stoa.person('ada');
  const client = await ada.connect(t, { apiUrl: 'http://127.0.0.1:1' });
  await is(-2, client.conn.getContacts());
});

raises([512, -1], RETURN, 'a server that does not answer', async (t) => {
  const [ada, bob] = await stoa.people('ada', 'bob');
  const proxy = await Proxy.start(t, ada.base);
  const client = await ada.connect(t, { url: `${proxy.base.replace('http', 'ws')}/ws`, apiUrl: proxy.base });
  proxy.loseDown();
  // The client waits for 15 s.
  const [sent, called] = await Promise.allSettled([client.text(bob.id, 'unanswered'), client.conn.getContacts()]);
  assert.deepEqual([sent.reason?.type, called.reason?.type], [512, -1]);
  proxy.cut();
});

raises(304, RETURN, 'hosts that cannot be looked up', async (t) => {
  const ada = await stoa.person('ada');
  const client = ada.device(t, { isHttpDNS: true });
  client.conn.dnsArr = ['http://127.0.0.1:1'];
  await is(304, client.open({ user: ada.id, accessToken: ada.token }));
});

raises(705, RETURN, 'a chatroom that is not there', async (t) => {
  const [alice] = await people(t, 'alice');
  await is(705, alice.conn.joinChatRoom({ roomId: ABSENT }));
});

raises(704, RETURN, 'a chatroom that is full', async (t) => {
  const [alice, bob, carol] = await people(t, 'alice', 'bob', 'carol');
  const room = await found(ROOM, stoa.rest, [bob], { maxusers: 2 });
  await alice.conn.joinChatRoom({ roomId: room.target });
  await is(704, carol.conn.joinChatRoom({ roomId: room.target }));
});

raises(1100, RETURN, 'a presence that is too long', async (t) => {
  const [alice] = await people(t, 'alice');
  await is(1100, alice.conn.publishPresence({ description: 'x'.repeat(2000) }));
});

raises([1101, 1103], RETURN, 'reactions that are there, and that are not', async (t) => {
  const [alice, bob] = await people(t, 'alice', 'bob');
  const { serverMsgId: messageId } = await alice.text(bob.user, 'hello');
  await bob.conn.addReaction({ messageId, reaction: '+1' });
  await is(1101, bob.conn.addReaction({ messageId, reaction: '+1' }));
  await is(1103, alice.conn.deleteReaction({ reaction: '+1', messageId }));
});

raises([1302, 1303], RETURN, 'edits of what is not there, or in another form', async (t) => {
  const [alice, bob] = await people(t, 'alice', 'bob');
  const edit = (messageId, message) => alice.conn.modifyMessage({ messageId, modifiedMessage: alice.message({ to: bob.user, ...message }) });
  await is(1302, edit('1', { type: 'txt', msg: 'other' }));
  const { serverMsgId } = await alice.text(bob.user, 'hello');
  await is(1303, edit(serverMsgId, { type: 'custom', customEvent: 'other', customExts: {} }));
});

raises(51, RETURN, 'a report of a message that is not there', async (t) => {
  const [alice] = await people(t, 'alice');
  await is(51, alice.conn.reportMessage({ reportType: 'spam', reportReason: 'it is', messageId: '1' }));
});

raises(1300, RETURN, 'a thread that is not there', async (t) => {
  const [alice] = await people(t, 'alice');
  await is(1300, alice.conn.getChatThreadDetail({ chatThreadId: ABSENT }));
});

raises(1400, RETURN, 'a conversation that is not there', async (t) => {
  const [alice, bob] = await people(t, 'alice', 'bob');
  await is(1400, alice.conn.pinConversation({ conversationId: bob.user, conversationType: 'singleChat', isPinned: true }));
});

raises(57, BOTH, 'an app that is switched off', async (t) => {
  const ada = await stoa.person('ada');
  await stoa.rest.change(t, { serving: false });
  await login(57, ada.device(t), { user: ada.id, accessToken: ada.token });
});

// The clock does not go back: these come last.
raises(504, RETURN, 'a recall that is too late', async (t) => {
  const [alice, bob] = await people(t, 'alice', 'bob');
  const { serverMsgId } = await alice.text(bob.user, 'hello');
  await advance('3m');
  await is(504, alice.conn.recallMessage({ mid: serverMsgId, to: bob.user, chatType: 'singleChat' }));
});

raises(1304, RETURN, 'an edit after a week', async (t) => {
  const ada = await stoa.registered('ada', 'secret');
  const bob = await stoa.person('bob');
  const client = ada.device(t);
  await client.open({ user: ada.id, pwd: 'secret' });
  const { serverMsgId: messageId } = await client.text(bob.id, 'hello');
  await advance('169h');
  await is(1304, client.conn.modifyMessage({ messageId, modifiedMessage: client.message({ type: 'txt', to: bob.id, msg: 'other' }) }));
});

raises(223, RETURN, 'a file that was kept for long enough', async (t) => {
  await stoa.rest.change(t, { file_lifetime_seconds: 3600 });
  const { carol, url, secret } = await attachment(t);
  await advance('2h');
  await is(223, download(carol, { url, secret }));
});

raises(56, BOTH, 'a token that has come to its end', async (t) => {
  const ada = await stoa.person('ada');
  const token = await ada.rest.inheritToken(ada.id, { ttl: 3600 });
  await advance('2h');
  await login(56, ada.device(t), { user: ada.id, accessToken: token });
});

raises(52, RETURN, 'a call with a token that has come to its end', async (t) => {
  const ada = await stoa.person('ada');
  const token = await ada.rest.inheritToken(ada.id, { ttl: 3600 });
  const client = ada.device(t);
  await client.open({ user: ada.id, accessToken: token });
  const short = await ada.rest.inheritToken(ada.id, { ttl: 1 });
  await ada.rest.expired(ada.id, short);
  client.conn.context.accessToken = short; // as if the app had slept
  await is(52, client.conn.getContacts());
});
