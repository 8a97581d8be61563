'use strict';

const assert = require('node:assert/strict');
const { test } = require('node:test');
const { proves } = require('../lib/parity');
const { world } = require('../lib/world');

const stoa = world();

// leave signs a device out and resolves when the server knows.
async function leave(person, client) {
  client.close();
  await person.rest.gone(person.id, client.resource);
}

test('what one device sends reaches the other devices of the sender, not itself', async (t) => {
  const [alice, bob] = await stoa.people('alice', 'bob');
  const phone = await alice.connect(t, { device: 'phone' });
  const laptop = await alice.connect(t, { device: 'laptop' });
  const to = await bob.connect(t);
  const { serverMsgId } = await phone.text(bob.id, 'from the phone');
  const copy = await laptop.nextText();
  assert.equal(copy.msg, 'from the phone');
  assert.equal(copy.id, serverMsgId);
  assert.equal(copy.from, alice.id);
  assert.equal(copy.to, bob.id);
  await to.text(alice.id, 'reply');
  await Promise.all([phone.nextText('reply'), laptop.nextText('reply')]);
  assert.deepEqual(phone.texts(), ['reply']);
});

test('every device of the receiver gets the message', async (t) => {
  const [alice, bob] = await stoa.people('alice', 'bob');
  const from = await alice.connect(t);
  const devices = await Promise.all(['phone', 'laptop', 'tablet'].map((device) => bob.connect(t, { device })));
  await from.text(bob.id, 'to all');
  await Promise.all(devices.map((device) => device.nextText('to all')));
});

test('each device has its own place in the conversation', async (t) => {
  const [alice, bob] = await stoa.people('alice', 'bob');
  const from = await alice.connect(t);
  await leave(bob, await bob.connect(t, { device: 'laptop' }));

  const phone = await bob.connect(t, { device: 'phone' });
  await from.text(bob.id, 'first');
  await phone.nextText('first');
  await leave(bob, phone);
  await from.text(bob.id, 'second');

  const laptop = await bob.connect(t, { device: 'laptop' });
  await laptop.nextText('second');
  assert.deepEqual(laptop.texts(), ['first', 'second']);
  const phoneAgain = await bob.connect(t, { device: 'phone' });
  await phoneAgain.nextText('second');
  assert.deepEqual(phoneAgain.texts(), ['second']);
});

test('a new device gets only what no other device had', async (t) => {
  const [alice, bob] = await stoa.people('alice', 'bob');
  const from = await alice.connect(t);
  const phone = await bob.connect(t, { device: 'phone' });
  await from.text(bob.id, 'seen on the phone');
  await phone.nextText();
  await leave(bob, phone);
  await from.text(bob.id, 'seen nowhere');

  const tablet = await bob.connect(t, { device: 'tablet' });
  await tablet.nextText('seen nowhere');
  assert.deepEqual(tablet.texts(), ['seen nowhere']);
});

test('a device that signs in again takes the place of its old connection without being kicked', async (t) => {
  const [alice, bob] = await stoa.people('alice', 'bob');
  const from = await alice.connect(t);
  await bob.connect(t, { device: 'phone' });
  const again = await bob.connect(t, { device: 'phone' });
  await from.text(bob.id, 'hello');
  await again.nextText('hello');
  assert.deepEqual(again.all('onError'), []);
});

proves('getSelfIdsOnOtherPlatform', 'a user finds the other devices of his own and writes to one of them', async (t) => {
  const alice = await stoa.person('alice');
  const phone = await alice.connect(t, { device: 'phone' });
  const laptop = await alice.connect(t, { device: 'laptop' });
  const others = await phone.conn.getSelfIdsOnOtherPlatform();
  assert.deepEqual(others.data, [`${alice.id}/${laptop.resource}`]);
  await phone.text(others.data[0], 'note to self');
  const note = await laptop.nextText();
  assert.equal(note.msg, 'note to self');
  assert.equal(note.from, `${alice.id}/${phone.resource}`);
});
