'use strict';

const assert = require('node:assert/strict');
const { test } = require('node:test');
const { ChatTokenBuilder } = require('agora-token');
const { proves } = require('../lib/parity');
const { refused } = require('../lib/refused');
const { world } = require('../lib/world');

const stoa = world();

proves(['open', 'isOpened'], 'a password signs in, and the answer tells how long the token lives', async (t) => {
  const ada = await stoa.registered('ada', 'secret');
  const client = ada.device(t);
  const answer = await client.open({ user: ada.id, pwd: 'secret' });
  assert.equal(typeof answer.accessToken, 'string');
  assert.ok(answer.duration > 0);
  assert.equal(client.conn.isOpened(), true);
});

test('a user token issued for a password signs in', async (t) => {
  const ada = await stoa.registered('ada', 'secret');
  ada.token = await ada.rest.passwordToken(ada.id, 'secret');
  await ada.connect(t);
});

test('a user token issued to the app signs in, and creates the user', async (t) => {
  const ada = await stoa.stranger('ada');
  ada.token = await ada.rest.inheritToken(ada.id);
  await ada.connect(t);
});

test('a signed token for a user id signs in, as accessToken and as agoraToken', async (t) => {
  const ada = await stoa.person('ada');
  const token = ChatTokenBuilder.buildUserToken(stoa.appId, stoa.certificate, ada.id, 600);
  for (const kind of ['accessToken', 'agoraToken']) {
    const client = ada.device(t);
    await client.open({ user: ada.id, [kind]: token });
  }
});

test("a signed token for the user's UUID signs in", async (t) => {
  const ada = await stoa.person('ada');
  const { entities } = await ada.rest.admin('GET', `/users/${ada.id}`);
  ada.token = ChatTokenBuilder.buildUserToken(stoa.appId, stoa.certificate, entities[0].uuid, 600);
  await ada.connect(t);
});

test("a user who took another's UUID for a name does not become that other", async (t) => {
  const ada = await stoa.person('ada');
  const { entities } = await ada.rest.admin('GET', `/users/${ada.id}`);
  const { uuid } = entities[0];
  await ada.rest.createUser(uuid, 'secret');
  const signed = ChatTokenBuilder.buildUserToken(stoa.appId, stoa.certificate, uuid, 600);
  assert.equal((await refused(ada.device(t).open({ user: ada.id, accessToken: signed }))).type, 28);
  const exchanged = await ada.rest.ok('POST', '/token', { token: signed, body: { grant_type: 'agora' } });
  assert.equal(exchanged.user.username, uuid);
});

test('a signed token can be exchanged for one that signs in', async (t) => {
  const ada = await stoa.person('ada');
  const signed = ChatTokenBuilder.buildUserToken(stoa.appId, stoa.certificate, ada.id, 600);
  const answer = await ada.rest.ok('POST', '/token', { token: signed, body: { grant_type: 'agora' } });
  assert.ok(answer.expire_timestamp > Date.now());
  ada.token = answer.access_token;
  await ada.connect(t);
});

test('a signed app token opens the REST API', async () => {
  const ada = await stoa.person('ada');
  const token = ChatTokenBuilder.buildAppToken(stoa.appId, stoa.certificate, 600);
  const { entities } = await ada.rest.ok('GET', `/users/${ada.id}`, { token });
  assert.equal(entities[0].username, ada.id);
});

test('a client keeps the name of its device, and the server lists it', async (t) => {
  const ada = await stoa.person('ada');
  const client = await ada.connect(t, { device: 'kitchen' });
  assert.equal(client.resource, 'webim_web_kitchen');
  assert.deepEqual(await ada.rest.resources(ada.id), ['webim_web_kitchen']);
});

proves(['close', 'isOpened'], 'closing signs out without an error', async (t) => {
  const ada = await stoa.person('ada');
  const client = await ada.connect(t);
  client.close();
  assert.equal(await client.next('onDisconnected'), undefined);
  assert.equal(client.conn.isOpened(), false);
  await ada.rest.gone(ada.id, client.resource);
});
