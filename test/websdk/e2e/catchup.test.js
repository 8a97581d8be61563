'use strict';

const assert = require('node:assert/strict');
const { test } = require('node:test');
const { world } = require('../lib/world');

const stoa = world();
const SENDERS = 4;
const EACH = 2500;
const AT_ONCE = 250;

// pour sends EACH texts on one connection, AT_ONCE of them unanswered.
async function pour(from, to) {
  for (let i = 0; i < EACH; i += AT_ONCE) {
    await Promise.all(Array.from({ length: AT_ONCE }, (_, k) => from.text(to, `${i + k}`)));
  }
}

test('10,000 messages wait for their receiver and arrive in order, once', { timeout: 80_000 }, async (t) => {
  const bob = await stoa.person('bob');
  const senders = await stoa.people(...Array.from({ length: SENDERS }, (_, i) => `sender${i}`));
  await Promise.all(senders.map(async (sender) => pour(await sender.connect(t), bob.id)));

  const to = await bob.connect(t);
  await to.count('onTextMessage', SENDERS * EACH, 60_000);
  await to.next('onOfflineMessageSyncFinish');
  const messages = to.all('onTextMessage');
  assert.equal(messages.length, SENDERS * EACH);
  const expected = Array.from({ length: EACH }, (_, i) => `${i}`);
  for (const sender of senders) {
    const texts = messages.filter((message) => message.from === sender.id).map((message) => message.msg);
    assert.deepEqual(texts, expected, `from ${sender.id}`);
  }
});
