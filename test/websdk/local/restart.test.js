'use strict';

const assert = require('node:assert/strict');
const { test } = require('node:test');
const { within } = require('../lib/wait');
const { localWorld } = require('../lib/world');

const stoa = localWorld();

// Fewer than the ids that a client remembers (about 101): what was on its way in a crash may be delivered again, but not
// shown again.
const BURST = 90;

// The more attempts, the less it matters how long the server needs to come back.
const patient = { autoReconnectNumMax: 20 };

async function pair(t) {
  const [alice, bob] = await stoa.people('alice', 'bob');
  return { bob, from: await alice.connect(t, patient), to: await bob.connect(t, patient) };
}

// outage ends the server in the middle of a burst of messages, leaves one more for later, and starts it again. It
// resolves with the texts that the server had acknowledged.
async function outage({ bob, from, to }, end) {
  const texts = Array.from({ length: BURST }, (_, i) => `${i}`);
  const burst = Promise.allSettled(texts.map((text) => from.text(bob.id, text)));
  await from.count('onReceivedMessage', BURST / 3);
  await end();
  const outcomes = await within(burst, 'the burst settles');
  await Promise.all([from.next('onReconnecting'), to.next('onReconnecting')]);
  const later = from.text(bob.id, 'later');
  await stoa.server.start();
  await Promise.all([from.next('onConnected'), to.next('onConnected'), later]);
  for (const { reason } of outcomes) if (reason) assert.equal(reason.type, 510);
  return texts.filter((_, i) => outcomes[i].status === 'fulfilled');
}

// complete checks that the receiver has got everything once, and in order what was acknowledged.
async function complete({ bob, from, to }, acknowledged) {
  await to.nextText('later');
  await from.text(bob.id, 'end');
  await to.nextText('end');
  const texts = to.texts();
  assert.equal(new Set(texts).size, texts.length);
  const expected = [...acknowledged, 'later', 'end'];
  assert.deepEqual(
    texts.filter((text) => expected.includes(text)),
    expected,
  );
  for (const client of [from, to]) {
    assert.deepEqual(client.all('onError'), []);
    assert.deepEqual(client.all('onDisconnected'), []);
  }
}

test('after a crash clients come back, and nothing that was acknowledged is lost', async (t) => {
  const clients = await pair(t);
  const acknowledged = await outage(clients, () => stoa.server.kill());
  await complete(clients, acknowledged);
});

test('after a shutdown clients come back, and nothing that was acknowledged is lost', async (t) => {
  const clients = await pair(t);
  const acknowledged = await outage(clients, async () => assert.equal(await stoa.server.stop(), 0));
  await complete(clients, acknowledged);
});

test('a crash forgets neither users nor settings nor the place of a device', async (t) => {
  const { bob, from, to } = await pair(t);
  const ada = await stoa.registered('ada', 'secret');
  await stoa.rest.change(t, { max_devices_per_platform: 3 });
  await from.text(bob.id, 'seen before the crash');
  await to.nextText();
  to.close();
  await bob.rest.gone(bob.id, to.resource);
  await stoa.server.kill();
  await from.next('onReconnecting');
  await stoa.server.start();

  const { data } = await stoa.rest.admin('GET', '/settings');
  assert.equal(data.max_devices_per_platform, 3);
  await ada.device(t).open({ user: ada.id, pwd: 'secret' });
  await from.next('onConnected');
  await from.text(bob.id, 'after the crash');
  const again = await bob.connect(t, { device: to.resource.replace('webim_web_', '') });
  await again.nextText('after the crash');
  assert.deepEqual(again.texts(), ['after the crash']);
});
