'use strict';

const assert = require('node:assert/strict');
const { test } = require('node:test');
const { world } = require('../lib/world');

const stoa = world();

test('200 messages each way at once arrive in the order in which they were sent', async (t) => {
  const [alice, bob] = await stoa.people('alice', 'bob');
  const a = await alice.connect(t);
  const b = await bob.connect(t);
  const texts = Array.from({ length: 200 }, (_, i) => `message ${i}`);
  const results = await Promise.all(texts.flatMap((text) => [a.text(bob.id, text), b.text(alice.id, text)]));
  assert.equal(new Set(results.map((result) => result.serverMsgId)).size, 400);
  await Promise.all([a.count('onTextMessage', 200), b.count('onTextMessage', 200)]);
  assert.deepEqual(a.texts(), texts);
  assert.deepEqual(b.texts(), texts);
});
