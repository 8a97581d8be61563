'use strict';

const assert = require('node:assert/strict');
const { test } = require('node:test');
const { kicked } = require('../lib/kicked');
const { proves } = require('../lib/parity');
const { world } = require('../lib/world');

const stoa = world();

test('the settings of the app can be read and changed', async (t) => {
  const { data } = await stoa.rest.admin('GET', '/settings');
  assert.equal(data.multi_device, true);
  assert.equal(data.max_devices_per_platform, 4);
  await stoa.rest.change(t, { max_devices_per_platform: 2 });
  const { data: changed } = await stoa.rest.admin('GET', '/settings');
  assert.deepEqual(changed, { ...data, max_devices_per_platform: 2 });
});

proves('setLoginInfoCustomExt', 'with one device for each user a login ends the one before with 206, and hands it a text', async (t) => {
  await stoa.rest.change(t, { multi_device: false });
  const alice = await stoa.person('alice');
  const old = await alice.connect(t, { device: 'phone' });
  const fresh = alice.device(t, { device: 'laptop' });
  fresh.conn.setLoginInfoCustomExt('signed in on the laptop');
  await fresh.open({ user: alice.id, accessToken: alice.token });
  const error = await kicked(old, 206);
  assert.equal(error.data.loginInfoCustomExt, 'signed in on the laptop');
  assert.deepEqual(await alice.rest.resources(alice.id), [fresh.resource]);
  assert.deepEqual(fresh.all('onError'), []);
});

test('the fifth device of a platform ends the earliest with 206', async (t) => {
  const alice = await stoa.person('alice');
  const devices = [];
  for (let i = 0; i < 4; i++) devices.push(await alice.connect(t));
  const [first, ...others] = devices;
  assert.deepEqual(first.all('onError'), []);
  const fifth = await alice.connect(t);
  await kicked(first, 206);
  const online = [...others, fifth];
  assert.deepEqual((await alice.rest.resources(alice.id)).sort(), online.map((client) => client.resource).sort());
  for (const client of online) assert.deepEqual(client.all('onError'), []);
});

test('platforms are counted apart', async (t) => {
  await stoa.rest.change(t, { max_devices_per_platform: 1 });
  const alice = await stoa.person('alice');
  const web = await alice.connect(t);
  const custom = await alice.connect(t, { customOSPlatform: 7, customDeviceName: 'kiosk' });
  assert.equal((await alice.rest.resources(alice.id)).length, 2);
  const secondKiosk = await alice.connect(t, { customOSPlatform: 7, customDeviceName: 'kiosk' });
  await kicked(custom, 206);
  for (const client of [web, secondKiosk]) assert.deepEqual(client.all('onError'), []);
});
