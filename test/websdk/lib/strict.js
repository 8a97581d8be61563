'use strict';

// A frame that an SDK cannot use shows up as an unhandled rejection or an uncaught exception, and nowhere else: any of
// them fails the test during which it came.

const assert = require('node:assert/strict');
const { afterEach } = require('node:test');

const caught = [];

for (const kind of ['unhandledRejection', 'uncaughtException']) {
  process.on(kind, (error) => caught.push({ kind, error }));
}

afterEach(() => {
  assert.deepEqual(caught.splice(0), []);
});
