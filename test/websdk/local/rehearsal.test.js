'use strict';

// Every code that a server can make the web SDK raise is rehearsed: the next fitting situation ends with it, and the one
// after that as ever.

const assert = require('node:assert/strict');
const { test } = require('node:test');
const { download } = require('../lib/download');
const { catalogue, raises } = require('../lib/errors');
const { kicked } = require('../lib/kicked');
const { GROUP, clients, found } = require('../lib/places');
const { refused } = require('../lib/refused');
const { until } = require('../lib/wait');
const { localWorld } = require('../lib/world');

const stoa = localWorld();

const rehearse = (user, code, more = {}) => stoa.rest.admin('POST', '/rehearsals', { user, code, ...more });
const rehearsals = async () => (await stoa.rest.admin('GET', '/rehearsals')).data;

// The situations: what alice does, given bob and a group of theirs.
const situations = {
  send: ({ alice, bob }) => alice.text(bob.user, 'hello'),
  sendToGroup: ({ alice, group }) => alice.text(group.target, 'hello', { chatType: 'groupChat' }),
  recall: async ({ alice, bob, sent }) => alice.conn.recallMessage({ mid: await sent(), to: bob.user, chatType: 'singleChat' }),
  edit: async ({ alice, bob, sent }) =>
    alice.conn.modifyMessage({ messageId: await sent(), modifiedMessage: alice.message({ type: 'txt', to: bob.user, msg: 'other' }) }),
  join: ({ alice, room }) => alice.conn.joinChatRoom({ roomId: room }),
  call: ({ alice }) => alice.conn.getContacts(),
  callAboutGroup: ({ alice, group }) => alice.conn.getGroupInfo({ groupId: group.target }),
  callAboutRoom: ({ alice, room }) => alice.conn.getChatRoomDetails({ chatRoomId: room }),
  upload: ({ alice, bob }) => {
    const data = new File(['words'], 'notes.txt', { type: 'text/plain' });
    return alice.send({ type: 'file', to: bob.user, filename: 'notes.txt', file: { data, filename: 'notes.txt', filetype: 'txt', url: '' } });
  },
  download: ({ alice, file }) => download(alice, file),
};

// What meets each code. The web SDK shows 601 on groups only, and takes 15 s to give up on an answer (-1, 512).
const meets = {
  send: [204, 219, 221, 501, 502, 503, 508, 509, 511, 603, 604],
  sendToGroup: [506, 507, 602, 605, 608],
  recall: [504, 505],
  edit: [1302, 1303, 1304],
  join: [704, 705],
  call: [-3, -2, 17, 50, 51, 52, 53, 54, 500, 609, 1100, 1101, 1102, 1103, 1200, 1201, 1204, 1300, 1301, 1400],
  callAboutGroup: [601, 606, 607],
  callAboutRoom: [702],
  upload: [101],
  download: [200, 222, 223],
};

async function scene(t) {
  const [alice, bob] = await clients(t, stoa, 'alice', 'bob');
  const group = await found(GROUP, stoa.rest, [bob, alice]);
  const room = (await stoa.rest.admin('POST', '/chatrooms', { name: 'room', description: 'a room', owner: bob.user })).data.id;
  const sent = async () => (await alice.text(bob.user, 'sent before')).serverMsgId;
  const it = { alice, bob, group, room, sent };
  await situations.upload(it);
  const { url, secret } = await bob.next('onFileMessage');
  it.file = { url: url.split('?')[0], secret };
  return it;
}

for (const [situation, codes] of Object.entries(meets)) {
  for (const code of codes) {
    raises(code, 'rehearsed web', `${situation}, rehearsed`, async (t) => {
      const it = await scene(t);
      await rehearse(it.alice.user, code);
      const error = await refused(situations[situation](it), situation);
      assert.equal(error.type, code, JSON.stringify(error));
      assert.deepEqual(await rehearsals(), [], 'it happens once');
      await situations[situation](it);
    });
  }
}

for (const code of [206, 207, 216, 217]) {
  raises(code, 'rehearsed web', 'a session that is ended, rehearsed', async (t) => {
    const { alice, bob } = await scene(t);
    await rehearse(alice.user, code);
    await kicked(alice, code);
    await alice.open({ user: alice.user, accessToken: alice.person.token });
    await alice.text(bob.user, 'here again');
  });
}

for (const code of [2, 28, 56, 57]) {
  raises(code, 'rehearsed web', 'a login that is refused, rehearsed', async (t) => {
    const ada = await stoa.person('ada');
    await rehearse(ada.id, code);
    const client = ada.device(t);
    assert.equal((await refused(client.open({ user: ada.id, accessToken: ada.token }))).type, code);
    await client.next('onDisconnected');
    await client.open({ user: ada.id, accessToken: ada.token });
  });
}

raises(1, 'rehearsed web', 'a password that is refused, rehearsed', async (t) => {
  const ada = await stoa.registered('ada', 'secret');
  await rehearse(ada.id, 1);
  const client = ada.device(t);
  assert.equal((await refused(client.open({ user: ada.id, pwd: 'secret' }))).type, 1);
  await client.open({ user: ada.id, pwd: 'secret' });
});

raises(16, 'rehearsed web', 'a connection that is lost for a while, rehearsed', async (t) => {
  const { alice, bob } = await scene(t);
  await rehearse(alice.user, 16, { for: 'until-off' });
  await alice.next('onReconnecting');
  assert.equal((await refused(alice.conn.joinChatRoom({ roomId: '1' }))).type, 16);
  await stoa.rest.admin('DELETE', '/rehearsals');
  await alice.next('onConnected', () => alice.all('onConnected').length > 1);
  await alice.text(bob.user, 'back');
});

raises(510, 'rehearsed web', 'a socket that ends in place of an answer, rehearsed', async (t) => {
  const { alice, bob } = await scene(t);
  await rehearse(alice.user, 510);
  assert.equal((await refused(alice.text(bob.user, 'kept, and not answered'))).type, 510);
  await bob.nextText('kept, and not answered');
  await alice.next('onConnected', () => alice.all('onConnected').length > 1);
  await alice.text(bob.user, 'back');
});

raises(512, 'rehearsed web', 'an answer that does not come, rehearsed', async (t) => {
  const { alice, bob } = await scene(t);
  await rehearse(alice.user, 512);
  const error = await alice.text(bob.user, 'kept, and not answered').then(
    () => assert.fail('it was answered'),
    (error) => error,
  ); // the client waits for 15 s
  assert.equal(error.type, 512);
  await bob.nextText('kept, and not answered');
});

raises(-1, 'rehearsed web', 'a call without an answer, rehearsed', async (t) => {
  const { alice } = await scene(t);
  await rehearse(alice.user, -1);
  const error = await alice.conn.getContacts().then(
    () => assert.fail('it was answered'),
    (error) => error,
  ); // the client waits for 15 s
  assert.equal(error.type, -1);
  await alice.conn.getContacts();
});

test('every code that the server can make the web SDK raise is rehearsed', () => {
  const rehearsed = new Set([1, 2, 16, 28, 56, 57, 206, 207, 216, 217, 510, 512, -1, ...Object.values(meets).flat()]);
  const missing = [...catalogue.values()].filter((e) => e.wire.length > 0 && e.raised_by_current_web_sdk && e.code !== 0 && !rehearsed.has(e.code));
  assert.deepEqual(missing.map(({ code, name }) => `${code} ${name}`), []);
});

test('a code of the client is refused with how to meet it', async () => {
  const ada = await stoa.person('ada');
  const { status, body } = await ada.rest.call('POST', '/rehearsals', { token: await ada.rest.appToken(), body: { user: ada.id, code: 31 } });
  assert.equal(status, 400);
  assert.match(body.error_description, /callback/);
});

test('latency holds calls and messages up', async (t) => {
  const { alice, bob } = await scene(t);
  await stoa.rest.admin('POST', '/rehearsals', { user: alice.user, fault: 'latency', delay: '300ms', for: '1m' });
  for (const slow of [() => alice.text(bob.user, 'slow'), () => alice.conn.getContacts()]) {
    const began = Date.now();
    await slow();
    assert.ok(Date.now() - began >= 290);
  }
  await stoa.rest.admin('DELETE', '/rehearsals');
});

test('in a storm the client comes back again and again, and nothing is lost', async (t) => {
  const { alice, bob } = await scene(t);
  await stoa.rest.admin('POST', '/rehearsals', { user: bob.user, fault: 'storm', delay: '1s', for: '1m' });
  await until(() => bob.all('onReconnecting').length >= 2, 'two losses', 20_000);
  await alice.text(bob.user, 'in the storm');
  await bob.nextText('in the storm', 20_000);
  await stoa.rest.admin('DELETE', '/rehearsals');
});
