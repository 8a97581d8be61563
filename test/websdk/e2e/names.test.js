'use strict';

const assert = require('node:assert/strict');
const { test } = require('node:test');
const { world } = require('../lib/world');

const stoa = world();

const capital = (id) => id[0].toUpperCase() + id.slice(1);

test('a user signs in with a capital and gets what is sent to the name in lower case', async (t) => {
  const [alice, bob] = await stoa.people('alice', 'bob');
  const to = alice.device(t);
  await to.open({ user: capital(alice.id), accessToken: alice.token });
  const from = await bob.connect(t);
  await from.text(alice.id, 'hello');
  await to.nextText('hello');
});

test('a message to a name with a capital reaches the user', async (t) => {
  const [alice, bob] = await stoa.people('alice', 'bob');
  const to = await alice.connect(t);
  const from = await bob.connect(t);
  await from.text(capital(alice.id), 'hello');
  await to.nextText('hello');
});

test('others see the sender in lower case', async (t) => {
  const [alice, bob] = await stoa.people('alice', 'bob');
  const to = await bob.connect(t);
  const from = alice.device(t);
  await from.open({ user: capital(alice.id), accessToken: alice.token });
  await from.text(bob.id, 'hello');
  assert.equal((await to.nextText()).from, alice.id);
});

test('what reaches a session names its user in the form in which it signed in', async (t) => {
  const [alice, bob] = await stoa.people('alice', 'bob');
  const large = alice.device(t);
  await large.open({ user: capital(alice.id), accessToken: alice.token });
  const small = await alice.connect(t);
  const other = await bob.connect(t);
  await other.text(alice.id, 'from Bob');
  assert.equal((await large.nextText('from Bob')).to, capital(alice.id));
  assert.equal((await small.nextText('from Bob')).to, alice.id);
  await small.text(bob.id, 'from the other device');
  assert.equal((await large.nextText('from the other device')).from, capital(alice.id));
});

test('the form with a capital is the same user for its devices and its password', async (t) => {
  const ada = await stoa.registered('ada', 'secret');
  const small = ada.device(t, { device: 'phone' });
  await small.open({ user: ada.id, pwd: 'secret' });
  const large = ada.device(t, { device: 'laptop' });
  await large.open({ user: capital(ada.id), pwd: 'secret' });
  const devices = await ada.rest.resources(ada.id);
  assert.deepEqual(devices.sort(), [large.resource, small.resource].sort());
});
