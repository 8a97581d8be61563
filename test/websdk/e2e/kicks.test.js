'use strict';

const assert = require('node:assert/strict');
const { test } = require('node:test');
const { kicked } = require('../lib/kicked');
const { refused } = require('../lib/refused');
const { within } = require('../lib/wait');
const { world } = require('../lib/world');

const stoa = world();

test('disconnecting a user ends all devices with 217', async (t) => {
  const alice = await stoa.person('alice');
  const devices = [await alice.connect(t), await alice.connect(t)];
  await alice.rest.admin('GET', `/users/${alice.id}/disconnect`);
  await Promise.all(devices.map((device) => kicked(device, 217)));
});

test('disconnecting one device ends it with 217 and leaves the others', async (t) => {
  const [alice, bob] = await stoa.people('alice', 'bob');
  const phone = await alice.connect(t, { device: 'phone' });
  const laptop = await alice.connect(t, { device: 'laptop' });
  const from = await bob.connect(t);
  await alice.rest.admin('DELETE', `/users/${alice.id}/disconnect/${phone.resource}`);
  await kicked(phone, 217);
  await from.text(alice.id, 'still there?');
  await laptop.nextText('still there?');
  assert.deepEqual(laptop.all('onError'), []);
  assert.deepEqual(await alice.rest.resources(alice.id), [laptop.resource]);
});

test('a disconnected client sends nothing, and can sign in again', async (t) => {
  const [alice, bob] = await stoa.people('alice', 'bob');
  const from = await alice.connect(t);
  const to = await bob.connect(t);
  await alice.rest.admin('GET', `/users/${alice.id}/disconnect`);
  await kicked(from, 217);
  assert.equal((await refused(from.text(bob.id, 'too late'))).type, 39);
  await from.open({ user: alice.id, accessToken: alice.token });
  await from.text(bob.id, 'back');
  await to.nextText('back');
  assert.deepEqual(to.texts(), ['back']);
});

// An unanswered send would run into the client's own timer after 15 s, which signs the kicked client in again.
test('a kick leaves no send unanswered, so that the client stays away', async (t) => {
  const [alice, bob] = await stoa.people('alice', 'bob');
  const from = await alice.connect(t);
  // Caught from the start: the kick may come before the answer to the request for it.
  const settled = Promise.allSettled(Array.from({ length: 100 }, (_, i) => from.text(bob.id, `${i}`)));
  await alice.rest.admin('GET', `/users/${alice.id}/disconnect`);
  await within(settled, 'every send settles', 5000);
  await kicked(from, 217);
  assert.deepEqual(await alice.rest.resources(alice.id), []);
});
