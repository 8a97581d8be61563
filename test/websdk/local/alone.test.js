'use strict';

// What the SDK does without any server.

const assert = require('node:assert/strict');
const { once } = require('node:events');
const net = require('node:net');
const { test } = require('node:test');
const { refused } = require('../lib/refused');
const { Client } = require('../lib/sdk');
require('../lib/strict');

// closedPort resolves with the address of a port on which nobody listens.
async function closedPort() {
  const listener = net.createServer().listen(0, '127.0.0.1');
  await once(listener, 'listening');
  const { port } = listener.address();
  listener.close();
  await once(listener, 'close');
  return `http://127.0.0.1:${port}`;
}

test('every release loads beside the others', () => {
  const releases = {
    'agora-chat': '1.4.0',
    'agora-chat-1.3.1': '1.3.1',
    'agora-chat-1.2.0': '1.2.0',
    'agora-chat-1.0.5': undefined,
    'easemob-websdk': '4.21.1',
    'easemob-websdk-4.7': '4.7.0',
  };
  for (const [sdk, version] of Object.entries(releases)) {
    const { conn } = new Client({ sdk, base: 'http://127.0.0.1:1' });
    if (version) assert.equal(conn.version, version);
  }
});

test('a malformed app key and a platform number out of range throw', () => {
  const base = 'http://127.0.0.1:1';
  for (const appKey of ['stoa', 'stoa#demo#more']) {
    assert.throws(() => new Client({ base, appKey }), /Invalid appKey/);
  }
  for (const customOSPlatform of [-1, 101]) {
    assert.throws(() => new Client({ base, customOSPlatform }), Error);
  }
});

test('a login without a user is 0, without a token 1', async () => {
  const client = new Client({ base: 'http://127.0.0.1:1' });
  assert.equal((await refused(client.open({ user: '', accessToken: 'token' }))).type, 0);
  assert.equal((await refused(client.open({ user: 'alice', accessToken: '' }))).type, 1);
  assert.equal((await refused(client.open({ user: 'alice' }))).type, 1);
});

test('a refused connection is 16', async () => {
  const client = new Client({ base: await closedPort() });
  const error = await refused(client.open({ user: 'alice', accessToken: 'token' }));
  assert.equal(error.type, 16);
});

test('a password login that reaches no server is 1, with -2 inside', async () => {
  const client = new Client({ base: await closedPort() });
  const error = await refused(client.open({ user: 'alice', pwd: 'stoa' }));
  assert.equal(error.type, 1);
  assert.equal(error.data.type, -2);
});
