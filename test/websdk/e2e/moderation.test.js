'use strict';

const assert = require('node:assert/strict');
const { test } = require('node:test');
const { world } = require('../lib/world');

const stoa = world();

test('a masked text is shown to receiver and sender', async (t) => {
  const [alice, bob] = await stoa.people('alice', 'bob');
  const from = await alice.connect(t, { useReplacedMessageContents: true });
  const to = await bob.connect(t);
  const name = `mask-${alice.id}`;
  await stoa.rest.admin('PUT', `/moderation/rules/${name}`, { words: ['flubberwock'], action: 'mask' });
  t.after(() => stoa.rest.admin('DELETE', `/moderation/rules/${name}`));
  const sent = await from.text(bob.id, 'you Flubberwock!');
  assert.equal(sent.message.msg, 'you ***********!');
  assert.equal(sent.message.isContentReplaced, true);
  const got = await to.nextText('you ***********!');
  assert.equal(got.id, sent.serverMsgId);
});
