'use strict';

const assert = require('node:assert/strict');
const { test } = require('node:test');
const { world } = require('../lib/world');

const stoa = world();

async function pair(t) {
  const [alice, bob] = await stoa.people('alice', 'bob');
  return { alice, bob, from: await alice.connect(t), to: await bob.connect(t) };
}

test('a text arrives as it was sent, with the id and time that the sender was told', async (t) => {
  const { alice, bob, from, to } = await pair(t);
  const result = await from.text(bob.id, 'Hello, Bob');
  const message = await to.nextText();
  assert.equal(message.msg, 'Hello, Bob');
  assert.equal(message.chatType, 'singleChat');
  assert.equal(message.from, alice.id);
  assert.equal(message.to, bob.id);
  assert.match(result.serverMsgId, /^[1-9]\d*$/);
  assert.equal(message.id, result.serverMsgId);
  assert.equal(message.time, result.message.time);
  const received = await from.next('onReceivedMessage');
  assert.deepEqual(received, { id: result.localMsgId, mid: result.serverMsgId, to: bob.id });
});

test('texts go both ways', async (t) => {
  const { alice, bob, from, to } = await pair(t);
  await from.text(bob.id, 'ping');
  assert.equal((await to.nextText()).msg, 'ping');
  await to.text(alice.id, 'pong');
  assert.equal((await from.nextText()).msg, 'pong');
});

test('each kind of extension value keeps its type', async (t) => {
  const { bob, from, to } = await pair(t);
  const ext = {
    yes: true,
    no: false,
    zero: 0,
    integer: 42,
    negative: -7,
    large: Number.MAX_SAFE_INTEGER,
    fraction: 0.1,
    small: -2.5e-10,
    infinite: Infinity,
    text: 'a "quoted" \\ text\n',
    empty: '',
    emoji: '👋🏽 ñ 中文',
    nothing: null,
    list: [1, 'two', null, [false]],
    object: { deep: { deeper: ['x', { y: 1.5 }] } },
  };
  await from.text(bob.id, 'typed', { ext });
  assert.deepEqual((await to.nextText()).ext, ext);
});

test('extension values that have no type of their own arrive as text, undefined ones not at all', async (t) => {
  const { bob, from, to } = await pair(t);
  await from.text(bob.id, 'untyped', { ext: { big: 12345678901234567890n, nan: NaN, missing: undefined } });
  assert.deepEqual((await to.nextText()).ext, { big: '12345678901234567890', nan: 'NaN' });
});

test('text of any script, with control characters, arrives unchanged', async (t) => {
  const { bob, from, to } = await pair(t);
  const msg = 'tab\t line\n nul\u0000 emoji 👩‍👩‍👧 right-to-left שלום combining é';
  await from.text(bob.id, msg);
  assert.equal((await to.nextText()).msg, msg);
});

test('half a surrogate pair is answered, and the connection lives on', async (t) => {
  const { bob, from, to } = await pair(t);
  await from.text(bob.id, 'broken \ud83d').catch((error) => assert.equal(error.type, 604));
  await from.text(bob.id, 'whole');
  await to.nextText('whole');
  assert.deepEqual(from.all('onReconnecting'), []);
});

test('location, command and custom messages arrive', async (t) => {
  const { bob, from, to } = await pair(t);
  const place = { addr: 'Agora, Athens', buildingName: 'Stoa Poikile', lat: 37.9759, lng: 23.7226 };
  await from.send({ type: 'loc', to: bob.id, ...place });
  const location = await to.next('onLocationMessage');
  assert.deepEqual([location.addr, location.buildingName, location.lat, location.lng], Object.values(place));

  await from.send({ type: 'cmd', to: bob.id, action: 'TypingBegin' });
  assert.equal((await to.next('onCmdMessage')).action, 'TypingBegin');

  await from.send({ type: 'custom', to: bob.id, customEvent: 'order', customExts: { item: 'olives' } });
  const custom = await to.next('onCustomMessage');
  assert.equal(custom.customEvent, 'order');
  assert.deepEqual(custom.customExts, { item: 'olives' });
});
