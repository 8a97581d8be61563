'use strict';

// What no SDK does. Whatever a socket says, the server must not give away, invent or lose anything for others.

const assert = require('node:assert/strict');
const { test } = require('node:test');
const { RawClient, encode, decode } = require('../lib/raw');
const { world } = require('../lib/world');

const stoa = world();

async function signedIn(t, person, resource = 'webim_web_raw') {
  const client = await RawClient.dial(t, person.base);
  const answer = await client.signIn(stoa.appKey, person.id, person.token, resource);
  assert.equal(answer.status.errorCode, 'OK');
  assert.equal(answer.resource, resource);
  return client;
}

// settled resolves when the server has dealt with everything that the client said before: it answers an UNREAD, or has
// closed the socket.
function settled(client) {
  client.say('UNREAD');
  return Promise.race([client.next('UNREAD'), client.next('closed')]);
}

// calm fails unless a message from a bystander is the first that the receiver sees.
async function calm(t, receiver, to) {
  const bystander = await (await stoa.person('bystander')).connect(t);
  await bystander.text(to.id, 'calm');
  assert.equal((await receiver.nextText()).msg, 'calm');
}

test('the raw client can sign in, send and receive', async (t) => {
  const [alice, bob] = await stoa.people('alice', 'bob');
  const from = await signedIn(t, alice);
  const to = await signedIn(t, bob);
  const answer = await from.post('42', bob.id, 'hello');
  assert.equal(answer.status.errorCode, 'OK');
  const { queue, metas } = await to.batch();
  assert.ok(queue.name);
  assert.notEqual(queue.name, bob.id);
  assert.equal(metas[0].id, answer.serverId);
  assert.equal(metas[0].from.name, alice.id);
  assert.equal(decode('MessageBody', metas[0].payload).contents[0].text, 'hello');
});

test('a message before the login goes nowhere and ends the socket', async (t) => {
  const [eve, bob] = await stoa.people('eve', 'bob');
  const to = await bob.connect(t);
  const raw = await RawClient.dial(t, eve.base);
  raw.name = eve.id;
  raw.appKey = stoa.appKey;
  raw.post('1', bob.id, 'anonymous').catch(() => {});
  await raw.next('closed');
  await calm(t, to, bob);
});

test('a frame that is no protobuf harms nobody else', async (t) => {
  const [eve, bob] = await stoa.people('eve', 'bob');
  const to = await bob.connect(t);
  const raw = await signedIn(t, eve);
  raw.socket.send(Buffer.from('fffffffffffffffffffffff', 'hex'));
  raw.socket.send('a text frame');
  await settled(raw);
  await calm(t, to, bob);
});

test('a frame above 64 KiB ends the socket', async (t) => {
  const raw = await signedIn(t, await stoa.person('eve'));
  raw.socket.send(Buffer.alloc(64 * 1024 + 1));
  await raw.next('closed');
});

test('a command that nobody knows ends the socket', async (t) => {
  const raw = await signedIn(t, await stoa.person('eve'));
  raw.socket.send(encode('MSync', { command: 42, payload: Buffer.from('??') }));
  await raw.next('closed');
});

test('a SYNC with neither message nor queue is passed over', async (t) => {
  const raw = await signedIn(t, await stoa.person('eve'));
  raw.say('SYNC', { key: '0' });
  raw.say('UNREAD');
  await raw.next('UNREAD');
});

test('nobody can write in the name of another', async (t) => {
  const [eve, alice, bob] = await stoa.people('eve', 'alice', 'bob');
  const to = await bob.connect(t);
  const raw = await signedIn(t, eve);
  const asAlice = { appKey: stoa.appKey, name: alice.id, domain: 'easemob.com' };
  const answers = await Promise.all([
    raw.post('1', bob.id, 'forged Meta', { meta: { from: asAlice } }),
    raw.post('2', bob.id, 'forged body', { body: { from: { name: alice.id } } }),
  ]);
  const own = await raw.post('3', bob.id, 'own');
  assert.equal(own.status.errorCode, 'OK');
  await to.nextText('own');
  const accepted = answers.filter((answer) => answer.status.errorCode === 'OK');
  assert.equal(to.texts().length, accepted.length + 1);
  for (const message of to.all('onTextMessage')) assert.equal(message.from, eve.id);
});

test('nobody can read the queue of others, or move their place in it', async (t) => {
  const [alice, bob, eve] = await stoa.people('alice', 'bob', 'eve');
  const from = await signedIn(t, alice);
  const to = await signedIn(t, bob, 'webim_web_phone');
  await from.post('1', bob.id, 'secret');
  const { queue } = await to.batch();
  to.socket.terminate();
  await bob.rest.gone(bob.id, 'webim_web_phone');

  const raw = await signedIn(t, eve);
  raw.say('SYNC', { queue });
  raw.say('SYNC', { queue, key: '1000000' });
  await settled(raw);
  assert.deepEqual(raw.all('SYNC').flatMap((sync) => sync.metas), []);

  const again = await bob.connect(t, { device: 'phone' });
  await again.nextText('secret');
});

test('an acknowledgement of what was never sent loses nothing', async (t) => {
  const [alice, bob] = await stoa.people('alice', 'bob');
  const from = await signedIn(t, alice);
  const to = await signedIn(t, bob, 'webim_web_phone');
  await from.post('1', bob.id, 'first');
  const { queue } = await to.batch();
  to.say('SYNC', { queue, key: '18446744073709551615' });
  await settled(to);
  to.socket.terminate();
  await bob.rest.gone(bob.id, 'webim_web_phone');
  await from.post('2', bob.id, 'second');

  const again = await bob.connect(t, { device: 'phone' });
  await again.nextText('second');
});

test('a body that does not decode is answered with an error, and the connection lives', async (t) => {
  const [eve, bob] = await stoa.people('eve', 'bob');
  const to = await bob.connect(t);
  const raw = await signedIn(t, eve);
  const jid = { appKey: stoa.appKey, name: bob.id, domain: 'easemob.com' };
  raw.say('SYNC', { meta: { id: '7', to: jid, ns: 'CHAT', payload: Buffer.from([0x0a, 0xff, 0xff]) } });
  const answer = await raw.answer('7');
  assert.notEqual(answer.status.errorCode, 'OK');
  assert.equal((await raw.post('8', bob.id, 'fine')).status.errorCode, 'OK');
  assert.equal((await to.nextText()).msg, 'fine');
});

test('the report that a client sends after its login is never refused', async (t) => {
  const raw = await signedIn(t, await stoa.person('eve'));
  const payload = encode('StatisticsBody', { operation: 0, os: 'OS_OTHER', version: '1.4.0' });
  raw.say('SYNC', { meta: { id: '9', ns: 'STATISTIC', payload } });
  await settled(raw);
  for (const sync of raw.all('SYNC')) assert.equal(sync.status.errorCode, 'OK');
});

test('a second login on the same socket does not change its user', async (t) => {
  const [eve, bob, carol] = await stoa.people('eve', 'bob', 'carol');
  const to = await bob.connect(t);
  const raw = await signedIn(t, eve);
  const guid = { appKey: stoa.appKey, name: carol.id, domain: 'easemob.com' };
  raw.say('PROVISION', { resource: 'webim_web_raw', authToken: JSON.stringify({ token: '$t$garbage' }) }, { guid });
  raw.post('1', bob.id, 'who am I?').catch(() => {});
  await settled(raw);
  const bystander = await (await stoa.person('bystander')).connect(t);
  await bystander.text(bob.id, 'calm');
  await to.nextText('calm');
  const others = to.all('onTextMessage').filter((message) => message.msg !== 'calm');
  for (const message of others) assert.equal(message.from, eve.id);
});
