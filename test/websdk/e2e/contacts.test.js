'use strict';

const assert = require('node:assert/strict');
const { test } = require('node:test');
const { proves } = require('../lib/parity');
const { until } = require('../lib/wait');
const { world } = require('../lib/world');

const stoa = world();

const EVENTS = ['onContactInvited', 'onContactAdded', 'onContactAgreed', 'onContactRefuse', 'onContactDeleted'];

// heard returns what a client was told of contacts, in order.
function heard(client) {
  return client.entries.filter(({ name }) => EVENTS.includes(name)).map(({ name, data }) => `${name} ${data.from} ${data.to}`);
}

// settled resolves when everything that was sent to a client before has arrived: its own message comes after it.
async function settled(client, by) {
  const text = `settled ${Math.random()}`;
  await by.text(client.user, text);
  await client.nextText(text);
}

async function connect(t, person, options) {
  const client = await person.connect(t, options);
  client.user = person.id;
  return client;
}

// friends makes the two contacts by way of the backend.
function friends(a, b) {
  return a.rest.admin('POST', `/users/${a.id}/contacts/users/${b.id}`);
}

const accepting = { acceptContactInvite: (conn, id) => conn.acceptContactInvite(id), acceptInvitation: (conn, id) => conn.acceptInvitation(id) };
const declining = { declineContactInvite: (conn, id) => conn.declineContactInvite(id), declineInvitation: (conn, id) => conn.declineInvitation(id) };

for (const [name, accept] of Object.entries(accepting)) {
  proves(['addContact', name, 'getContacts'], `an invitation is accepted by ${name}`, async (t) => {
    const [alice, bob] = await stoa.people('alice', 'bob');
    const from = await connect(t, alice);
    const to = await connect(t, bob);
    await from.conn.addContact(bob.id, 'it is me');
    const invited = await to.next('onContactInvited');
    assert.deepEqual([invited.type, invited.from, invited.to, invited.status], ['subscribe', alice.id, bob.id, 'it is me']);
    assert.deepEqual((await from.conn.getContacts()).data, []);

    await accept(to.conn, alice.id);
    const agreed = await from.next('onContactAgreed');
    assert.deepEqual([agreed.type, agreed.from, agreed.to], ['subscribed', bob.id, alice.id]);
    assert.equal((await from.next('onContactAdded')).from, bob.id);
    assert.equal((await to.next('onContactAdded')).from, alice.id);
    assert.deepEqual((await from.conn.getContacts()).data, [bob.id]);
    assert.deepEqual((await to.conn.getContacts()).data, [alice.id]);
  });
}

for (const [name, decline] of Object.entries(declining)) {
  proves(['addContact', name], `an invitation is declined by ${name}`, async (t) => {
    const [alice, bob] = await stoa.people('alice', 'bob');
    const from = await connect(t, alice);
    const to = await connect(t, bob);
    await from.conn.addContact(bob.id);
    assert.equal((await to.next('onContactInvited')).status, '');
    await decline(to.conn, alice.id);
    const refused = await from.next('onContactRefuse');
    assert.deepEqual([refused.from, refused.to], [bob.id, alice.id]);
    assert.deepEqual((await to.conn.getContacts()).data, []);
    await assert.rejects(to.conn.acceptContactInvite(alice.id), { type: 603 });
    await settled(to, from);
    assert.deepEqual(heard(to), [`onContactInvited ${alice.id} ${bob.id}`]);
  });
}

proves('deleteContact', 'deleting a contact ends it for both', async (t) => {
  const [alice, bob] = await stoa.people('alice', 'bob');
  await friends(alice, bob);
  const from = await connect(t, alice);
  const to = await connect(t, bob);
  await from.conn.deleteContact(bob.id);
  const deleted = await to.next('onContactDeleted');
  assert.deepEqual([deleted.from, deleted.to], [alice.id, bob.id]);
  for (const client of [from, to]) assert.deepEqual((await client.conn.getContacts()).data, []);
  await settled(from, to);
  assert.ok(!heard(from).some((event) => event.startsWith('onContactDeleted')), 'the device that asked is not told');
});

proves(['getContacts', 'getAllContacts', 'getContactsWithCursor', 'setContactRemark'], 'contacts are listed in three ways, with remarks', async (t) => {
  const [alice, bob, carol, dave] = await stoa.people('alice', 'bob', 'carol', 'dave');
  for (const other of [bob, carol, dave]) await friends(alice, other);
  const { conn } = await connect(t, alice);
  await conn.setContactRemark({ userId: carol.id, remark: 'Caro ☃' });

  assert.deepEqual((await conn.getContacts()).data, [dave.id, carol.id, bob.id]);
  const all = await conn.getAllContacts();
  assert.deepEqual(all.data.map(({ userId, remark }) => [userId, remark || '']), [[dave.id, ''], [carol.id, 'Caro ☃'], [bob.id, '']]);

  const first = (await conn.getContactsWithCursor({ pageSize: 2 })).data;
  assert.deepEqual(first.contacts.map(({ userId }) => userId), [dave.id, carol.id]);
  assert.equal(first.contacts[1].remark, 'Caro ☃');
  const second = (await conn.getContactsWithCursor({ pageSize: 2, cursor: first.cursor })).data;
  assert.deepEqual(second.contacts.map(({ userId }) => userId), [bob.id]);
  assert.equal(second.cursor, '');
});

test('contacts are refused with their codes', async (t) => {
  const [alice, bob] = await stoa.people('alice', 'bob');
  const nobody = await stoa.stranger('nobody');
  const { conn } = await connect(t, alice);
  await assert.rejects(conn.setContactRemark({ userId: bob.id, remark: 'x' }), { type: 221 });
  await assert.rejects(conn.addContact(nobody.id), { type: 204 });
  await assert.rejects(conn.acceptContactInvite(nobody.id), { type: 204 });
  await assert.rejects(conn.declineContactInvite(nobody.id), { type: 204 });
  await assert.rejects(conn.deleteContact(nobody.id), { type: 204 });
  await assert.rejects(conn.addUsersToBlocklist({ name: [bob.id, nobody.id] }), { type: 204 });
  assert.deepEqual((await conn.getBlocklist()).data, []);
  await friends(alice, bob);
  await assert.rejects(conn.setContactRemark({ userId: bob.id, remark: 'x'.repeat(101) }), { type: 50 });
  const many = Array.from({ length: 51 }, (_, i) => `user${i}`);
  await assert.rejects(conn.addUsersToBlocklist({ name: many }), { type: 50 });
});

for (const [add, remove, list] of [
  ['addUsersToBlocklist', 'removeUserFromBlocklist', 'getBlocklist'],
  ['addUsersToBlacklist', 'removeUserFromBlackList', 'getBlacklist'],
  ['addToBlackList', 'removeFromBlackList', 'getBlacklist'],
]) {
  proves([add, remove, list], `${add} refuses messages with 603 until ${remove}`, async (t) => {
    const [alice, bob, carol] = await stoa.people('alice', 'bob', 'carol');
    const to = await connect(t, alice);
    const from = await connect(t, bob, { delivery: true });
    await from.text(alice.id, 'before');
    assert.deepEqual((await to.conn[add]({ name: [bob.id, carol.id] })).data.userIds, [bob.id, carol.id]);
    assert.deepEqual((await to.conn[list]()).data, [carol.id, bob.id]);
    await assert.rejects(from.text(alice.id, 'blocked'), { type: 603 });
    await assert.rejects(from.conn.addContact(alice.id), { type: 603 });

    // The other way is open, and the receipts for it are taken.
    const { serverMsgId } = await to.text(bob.id, 'to the one who is blocked');
    const { id } = await from.nextText();
    assert.equal((await to.next('onDeliveredMessage')).mid, serverMsgId);
    await from.send({ type: 'read', to: alice.id, id });
    assert.equal((await to.next('onReadMessage')).mid, serverMsgId);

    await to.conn[remove]({ name: bob.id });
    assert.deepEqual((await to.conn[list]()).data, [carol.id]);
    await from.text(alice.id, 'after');
    await to.nextText('after');
    assert.deepEqual(to.texts(), ['before', 'after']);
  });
}

test('an app may want contacts only: 221', async (t) => {
  const [alice, bob] = await stoa.people('alice', 'bob');
  const from = await connect(t, alice);
  const to = await connect(t, bob);
  await from.text(bob.id, 'strangers may');
  await to.nextText();
  await stoa.rest.change(t, { contacts_only: true });
  const refused = await from.text(bob.id, 'no').then(() => assert.fail('it was sent'), (error) => error);
  assert.equal(refused.type, 221);
  assert.equal(refused.message, 'not contact');
  await from.conn.addContact(bob.id);
  await to.next('onContactInvited');
  await to.conn.acceptContactInvite(alice.id);
  await from.text(bob.id, 'contacts may');
  await to.nextText('contacts may');
  await to.conn.addUsersToBlocklist({ name: alice.id });
  await assert.rejects(from.text(bob.id, 'blocked'), { type: 603 });
  await to.conn.removeUserFromBlocklist({ name: alice.id });
  await from.text(bob.id, 'again');
  await to.conn.deleteContact(alice.id);
  await assert.rejects(from.text(bob.id, 'no more'), { type: 221 });
  await to.text(bob.id, 'to oneself');
});

test('an app may accept invitations by itself', async (t) => {
  const [alice, bob] = await stoa.people('alice', 'bob');
  await stoa.rest.change(t, { contacts_auto_accept: true });
  const from = await connect(t, alice);
  const to = await connect(t, bob);
  await from.conn.addContact(bob.id, 'hello');
  await from.next('onContactAgreed');
  await from.next('onContactAdded');
  await to.next('onContactAdded');
  assert.deepEqual(heard(to), [`onContactAdded ${alice.id} ${bob.id}`]);
  assert.deepEqual((await to.conn.getContacts()).data, [alice.id]);
});

test('who was away is told at login', async (t) => {
  const [alice, bob] = await stoa.people('alice', 'bob');
  const from = await connect(t, alice);
  await from.conn.addContact(bob.id, 'while you were away');
  const to = await connect(t, bob, { device: 'phone' });
  assert.equal((await to.next('onContactInvited')).status, 'while you were away');
  await to.conn.acceptContactInvite(alice.id);
  await to.next('onContactAdded');
  await from.next('onContactAdded');
  to.close();
  await bob.rest.gone(bob.id, to.resource);

  await from.conn.deleteContact(bob.id);
  const back = await connect(t, bob, { device: 'phone' });
  assert.equal((await back.next('onContactDeleted')).from, alice.id);
  await settled(back, from);
  assert.deepEqual(heard(back), [`onContactDeleted ${alice.id} ${bob.id}`]);
});

test("the user's other devices are told, the one that acts is not", async (t) => {
  const [alice, bob, carol] = await stoa.people('alice', 'bob', 'carol');
  const phone = await connect(t, bob);
  const tablet = await connect(t, bob);
  const from = await connect(t, alice);
  const third = await connect(t, carol);
  for (const client of [from, third]) await client.conn.addContact(bob.id);
  for (const client of [phone, tablet]) await client.count('onContactInvited', 2);
  await phone.conn.declineContactInvite(carol.id);
  await third.next('onContactRefuse');
  assert.deepEqual(await tablet.next('onContactRefuse'), { type: 'unsubscribed', from: bob.id, to: carol.id, status: '' });
  await phone.conn.acceptContactInvite(alice.id);
  for (const client of [phone, tablet]) assert.equal((await client.next('onContactAdded')).from, alice.id);
  await phone.conn.deleteContact(alice.id);
  await from.next('onContactDeleted');
  assert.deepEqual(await tablet.next('onContactDeleted'), { type: 'unsubscribed', from: bob.id, to: alice.id, status: '' });
  await settled(phone, from);
  assert.deepEqual(heard(phone).slice(2), [`onContactAdded ${alice.id} ${bob.id}`]);
});

test('a name registered again inherits no contacts and no block', async (t) => {
  const [alice, bob] = await stoa.people('alice', 'bob');
  await friends(alice, bob);
  const { conn } = await connect(t, alice);
  await conn.addUsersToBlocklist({ name: bob.id });
  await stoa.rest.admin('DELETE', `/users/${bob.id}`);
  bob.token = await stoa.rest.inheritToken(bob.id);
  const again = await connect(t, bob);
  assert.deepEqual((await conn.getContacts()).data, []);
  assert.deepEqual((await conn.getBlocklist()).data, []);
  assert.deepEqual((await again.conn.getContacts()).data, []);
  await again.text(alice.id, 'somebody else');
});

// These ask over the socket, and their promises do not settle: only the events tell.
const OVER_SOCKET = ['agora-chat-1.2.0', 'agora-chat-1.0.5'];

for (const sdk of ['agora-chat-1.3.1', 'agora-chat-1.2.0', 'agora-chat-1.0.5', 'easemob-websdk', 'easemob-websdk-4.7']) {
  test(`${sdk} has contacts in common with agora-chat`, async (t) => {
    const [alice, bob] = await stoa.people('alice', 'bob');
    const other = await connect(t, alice, { sdk });
    const current = await connect(t, bob);
    const ask = (promise) => (OVER_SOCKET.includes(sdk) ? undefined : promise);
    await ask(other.conn.addContact(bob.id, 'hello'));
    const invited = await current.next('onContactInvited');
    assert.deepEqual([invited.from, invited.status], [alice.id, 'hello']);
    await current.conn.acceptContactInvite(alice.id);
    assert.equal((await other.next('onContactAdded')).from, bob.id);
    await ask(other.conn.deleteContact(bob.id));
    assert.equal((await current.next('onContactDeleted')).from, alice.id);

    await current.conn.addContact(alice.id, 'again');
    assert.equal((await other.next('onContactInvited')).status, 'again');
    await ask(other.conn.declineContactInvite(bob.id));
    assert.equal((await current.next('onContactRefuse')).from, alice.id);
    if (!OVER_SOCKET.includes(sdk)) return;

    await friends(alice, bob);
    other.conn.addUsersToBlocklist({ name: [bob.id] });
    await until(async () => (await alice.rest.admin('GET', `/users/${alice.id}/blocks/users`)).data.includes(bob.id), 'the block');
    await assert.rejects(current.text(alice.id, 'blocked'), { type: 603 });
    other.conn.removeUserFromBlocklist({ name: [bob.id] });
    await until(async () => (await alice.rest.admin('GET', `/users/${alice.id}/blocks/users`)).data.length === 0, 'the end of the block');
    await current.text(alice.id, 'welcome');
    await other.nextText('welcome');
  });
}
