'use strict';

const assert = require('node:assert/strict');
const { test } = require('node:test');
const { refused, refusedLogin } = require('../lib/refused');
const { APP_PRIVILEGE, signedToken } = require('../lib/tokens');
const { world } = require('../lib/world');

const stoa = world();

test('a wrong password is 1, with the server\'s words', async (t) => {
  const ada = await stoa.registered('ada', 'secret');
  const error = await refused(ada.device(t).open({ user: ada.id, pwd: 'wrong' }));
  assert.equal(error.type, 1);
  assert.equal(error.message, 'invalid password');
  assert.equal(error.data.type, 17);
});

test('an unknown user with a password is 1, with 204 inside', async (t) => {
  const nobody = await stoa.stranger('nobody');
  const error = await refused(nobody.device(t).open({ user: nobody.id, pwd: 'secret' }));
  assert.equal(error.type, 1);
  assert.equal(error.message, 'user not found');
  assert.equal(error.data.type, 204);
});

const invalid = {
  'a token that is no token': () => 'garbage',
  'a signed token that does not unpack': () => '007eJxTYFigm6WeVx0keUji',
  "another user's token": async () => (await stoa.person('eve')).token,
  "another user's signed token": async () => signedToken({ ...app(), user: (await stoa.person('eve')).id }),
  'a token signed with another certificate': (user) => signedToken({ ...app(), certificate: 'f'.repeat(32), user }),
  'a token of another App ID': (user) => signedToken({ ...app(), appId: 'f'.repeat(32), user }),
  'an app token': () => stoa.rest.appToken(),
  'a signed app token': () => signedToken({ ...app(), user: '', privilege: APP_PRIVILEGE }),
};

function app() {
  return { appId: stoa.appId, certificate: stoa.certificate };
}

for (const [what, make] of Object.entries(invalid)) {
  test(`${what} is 28`, async (t) => {
    const ada = await stoa.person('ada');
    const token = await make(ada.id);
    assert.equal(await refusedLogin(ada.device(t), { user: ada.id, accessToken: token }), 28);
  });
}

test('an issued token past its end is 56', async (t) => {
  const ada = await stoa.person('ada');
  const token = await ada.rest.inheritToken(ada.id, { ttl: 1 });
  await ada.rest.expired(ada.id, token);
  assert.equal(await refusedLogin(ada.device(t), { user: ada.id, accessToken: token }), 56);
});

test('a signed token past its end is 56', async (t) => {
  const ada = await stoa.person('ada');
  const token = signedToken({ ...app(), user: ada.id, age: 7200, life: 3600 });
  assert.equal(await refusedLogin(ada.device(t), { user: ada.id, accessToken: token }), 56);
});

test('a signed token for a user who does not exist is 204', async (t) => {
  const nobody = await stoa.stranger('nobody');
  const token = signedToken({ ...app(), user: nobody.id });
  assert.equal(await refusedLogin(nobody.device(t), { user: nobody.id, accessToken: token }), 204);
});

test('an unknown app key is 2', async (t) => {
  const ada = await stoa.person('ada');
  const client = ada.device(t, { appKey: 'stoa#no-such-app' });
  assert.equal(await refusedLogin(client, { user: ada.id, accessToken: ada.token }), 2);
});

test('a second login is 208', async (t) => {
  const ada = await stoa.person('ada');
  const client = await ada.connect(t);
  const error = await refused(client.conn.open({ user: ada.id, accessToken: ada.token }));
  assert.equal(error.type, 208);
  assert.equal(client.conn.isOpened(), true);
});

test('a refused client can sign in with better credentials', async (t) => {
  const ada = await stoa.person('ada');
  const client = ada.device(t);
  assert.equal(await refusedLogin(client, { user: ada.id, accessToken: 'garbage' }), 28);
  await client.open({ user: ada.id, accessToken: ada.token });
});
