'use strict';

// A receiver whose connection breaks.

const assert = require('node:assert/strict');
const { test } = require('node:test');
const { Proxy } = require('../lib/proxy');
const { world } = require('../lib/world');

const stoa = world();

async function pair(t) {
  const [alice, bob, carol] = await stoa.people('alice', 'bob', 'carol');
  const proxy = await Proxy.start(t, bob.base);
  const from = await alice.connect(t);
  const to = await bob.connect(t, { base: proxy.base });

  // synchronised resolves when the client has the answers to its UNREAD and to the pull that follows: the server deals
  // with what a socket says one after the other.
  const synchronised = async () => {
    await to.text(carol.id, 'is the list here?');
    await to.text(carol.id, 'is the queue here?');
  };
  await synchronised();
  return { bob, proxy, from, to, synchronised };
}

test('messages that come while the receiver is cut off arrive after the reconnect', async (t) => {
  const { bob, proxy, from, to } = await pair(t);
  await from.text(bob.id, 'before');
  await to.nextText('before');
  proxy.cut();
  await to.next('onReconnecting');
  await from.text(bob.id, 'meanwhile');
  await to.nextText('meanwhile');
  await from.text(bob.id, 'after');
  await to.nextText('after');
  assert.deepEqual(to.texts(), ['before', 'meanwhile', 'after']);
});

// The client does not acknowledge a batch whose queue and key are those that it acknowledged last, and it remembers them
// over a reconnect. A server that sends the same batch again must not wait for an answer to it.
test('a queue whose last acknowledgement was lost goes on after the reconnect', async (t) => {
  const { bob, proxy, from, to, synchronised } = await pair(t);
  await from.text(bob.id, 'before');
  await to.nextText('before');
  proxy.loseUp();
  await from.text(bob.id, 'seen, but not acknowledged');
  await to.nextText('seen, but not acknowledged');
  proxy.cut();
  await to.next('onConnected');
  await synchronised();
  await from.text(bob.id, 'after');
  await to.nextText('after');
  assert.deepEqual(to.texts(), ['before', 'seen, but not acknowledged', 'after']);
});

test('a message that was lost on the way down comes again after the reconnect', async (t) => {
  const { bob, proxy, from, to } = await pair(t);
  proxy.loseDown();
  await from.text(bob.id, 'lost at first');
  proxy.cut();
  await to.nextText('lost at first');
  await from.text(bob.id, 'after');
  await to.nextText('after');
  assert.deepEqual(to.texts(), ['lost at first', 'after']);
});
