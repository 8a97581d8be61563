'use strict';

const assert = require('node:assert/strict');
const { test } = require('node:test');
const { Client } = require('../lib/sdk');
const { localWorld } = require('../lib/world');

const stoa = localWorld();

test('alice and bob of the demo app talk to each other', async (t) => {
  const [alice, bob] = await Promise.all(
    ['alice', 'bob'].map(async (user) => {
      const client = new Client({ base: stoa.server.base });
      t.after(() => client.close());
      await client.open({ user, pwd: 'stoa' });
      return client;
    }),
  );
  await alice.text('bob', 'hello');
  assert.equal((await bob.nextText()).from, 'alice');
  await bob.text('alice', 'hello back');
  assert.equal((await alice.nextText()).from, 'bob');
});
