'use strict';

const assert = require('node:assert/strict');
const { test } = require('node:test');
const { kicked } = require('../lib/kicked');
const { proves } = require('../lib/parity');
const { refused, refusedLogin } = require('../lib/refused');
const { signedToken } = require('../lib/tokens');
const { world } = require('../lib/world');

const stoa = world();

function signed(user) {
  return signedToken({ appId: stoa.appId, certificate: stoa.certificate, user });
}

test('a new password ends the devices with 216, and the old token and password with them', async (t) => {
  const ada = await stoa.registered('ada', 'old');
  ada.token = await ada.rest.passwordToken(ada.id, 'old');
  const client = await ada.connect(t);
  await ada.rest.admin('PUT', `/users/${ada.id}/password`, { newpassword: 'new' });
  await kicked(client, 216);
  assert.equal(await refusedLogin(client, { user: ada.id, accessToken: ada.token }), 28);
  assert.equal((await refused(client.open({ user: ada.id, pwd: 'old' }))).type, 1);
  await client.open({ user: ada.id, pwd: 'new' });
});

test('deleting a user ends the devices with 207, and every token', async (t) => {
  const ada = await stoa.registered('ada', 'secret');
  ada.token = await ada.rest.passwordToken(ada.id, 'secret');
  const client = await ada.connect(t);
  await ada.rest.admin('DELETE', `/users/${ada.id}`);
  await kicked(client, 207);
  assert.equal(await refusedLogin(client, { user: ada.id, accessToken: ada.token }), 204);
  assert.equal(await refusedLogin(ada.device(t), { user: ada.id, accessToken: signed(ada.id) }), 204);
  assert.equal((await refused(client.open({ user: ada.id, pwd: 'secret' }))).data.type, 204);
});

test('a name that is registered again inherits nothing', async (t) => {
  const ada = await stoa.registered('ada', 'secret');
  const bob = await stoa.person('bob');
  const oldToken = await ada.rest.passwordToken(ada.id, 'secret');
  const from = await bob.connect(t);
  await from.text(ada.id, 'for the first Ada');
  await ada.rest.admin('DELETE', `/users/${ada.id}`);
  await ada.rest.createUser(ada.id, 'another');

  assert.equal(await refusedLogin(ada.device(t), { user: ada.id, accessToken: oldToken }), 28);
  const fresh = ada.device(t);
  await fresh.open({ user: ada.id, pwd: 'another' });
  await from.text(ada.id, 'for the second Ada');
  await fresh.nextText('for the second Ada');
  assert.deepEqual(fresh.texts(), ['for the second Ada']);
});

test('a deactivated user is thrown out with 217 and cannot return until activated', async (t) => {
  const ada = await stoa.registered('ada', 'secret');
  ada.token = await ada.rest.passwordToken(ada.id, 'secret');
  const client = await ada.connect(t);
  await ada.rest.admin('POST', `/users/${ada.id}/deactivate`);
  await kicked(client, 217);
  assert.equal(await refusedLogin(ada.device(t), { user: ada.id, accessToken: ada.token }), 28);
  assert.equal(await refusedLogin(ada.device(t), { user: ada.id, accessToken: signed(ada.id) }), 2);
  const error = await refused(client.open({ user: ada.id, pwd: 'secret' }));
  assert.equal(error.type, 1);
  assert.equal(error.message, 'user not activated');

  await ada.rest.admin('POST', `/users/${ada.id}/activate`);
  await client.open({ user: ada.id, pwd: 'secret' });
});

proves(['registerUser', 'open'], 'a user registers through the SDK and signs in', async (t) => {
  const ada = await stoa.stranger('ada');
  const client = ada.device(t);
  await client.conn.registerUser({ username: ada.id, password: 'secret', nickname: 'Ada' });
  await client.open({ user: ada.id, pwd: 'secret' });
});

test('presence of a user on the server follows the connection', async (t) => {
  const ada = await stoa.person('ada');
  const status = async () => (await ada.rest.admin('GET', `/users/${ada.id}/status`)).data[ada.id];
  assert.equal(await status(), 'offline');
  const client = await ada.connect(t);
  assert.equal(await status(), 'online');
  client.close();
  await ada.rest.gone(ada.id, client.resource);
  assert.equal(await status(), 'offline');
});
