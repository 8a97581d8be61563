'use strict';

// The sister SDK and old releases, each in conversation with agora-chat 1.4.0.

const assert = require('node:assert/strict');
const { test } = require('node:test');
const { world } = require('../lib/world');

const stoa = world();

for (const sdk of ['easemob-websdk', 'easemob-websdk-4.7', 'agora-chat-1.3.1', 'agora-chat-1.2.0', 'agora-chat-1.0.5']) {
  test(`${sdk} signs in and talks to agora-chat`, async (t) => {
    const [alice, bob] = await stoa.people('alice', 'bob');
    const other = await alice.connect(t, { sdk });
    const current = await bob.connect(t);

    const ext = { number: 42, text: 'more', list: [1, 2] };
    const { serverMsgId } = await other.text(bob.id, `from ${sdk}`, { ext });
    const message = await current.nextText();
    assert.equal(message.msg, `from ${sdk}`);
    assert.equal(message.from, alice.id);
    assert.equal(message.id, serverMsgId);
    assert.deepEqual(message.ext, ext);

    await current.text(alice.id, `to ${sdk}`, { ext });
    const reply = await other.nextText();
    assert.equal(reply.msg, `to ${sdk}`);
    assert.equal(reply.from, bob.id);
    assert.deepEqual(reply.ext, ext);
  });

  test(`${sdk} gets what waited for it`, async (t) => {
    const [alice, bob] = await stoa.people('alice', 'bob');
    const current = await bob.connect(t);
    const texts = Array.from({ length: 20 }, (_, i) => `${i}`);
    await Promise.all(texts.map((text) => current.text(alice.id, text)));
    const other = await alice.connect(t, { sdk });
    await other.count('onTextMessage', texts.length);
    assert.deepEqual(other.texts(), texts);
  });
}
