'use strict';

// What scripts/parity.mjs makes of the records of tests.

const assert = require('node:assert/strict');
const { spawnSync } = require('node:child_process');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { test } = require('node:test');
const { methods } = require('../lib/methods');

const SCRIPT = path.join(__dirname, '../../../scripts/parity.mjs');

// report runs the script on records of tests.
function report(t, records, ...options) {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'parity-'));
  t.after(() => fs.rmSync(folder, { recursive: true }));
  const file = path.join(folder, 'parity.jsonl');
  fs.writeFileSync(file, records.map((record) => JSON.stringify({ file: 'x.test.js', title: 'a title', ...record }) + '\n').join(''));
  const { status, stdout } = spawnSync(process.execPath, [SCRIPT, file, ...options], { encoding: 'utf8' });
  const lines = stdout.trimEnd().split('\n');
  return { status, lines, last: lines.at(-1), row: (method) => lines.find((line) => line.match(/[\w.]+/)?.[0] === method) };
}

test('a method passes if a test proves it and none fails', (t) => {
  const { status, last, row } = report(t, [
    { method: 'open', ok: true },
    { method: 'close', ok: true },
    { method: 'close', ok: false, title: 'the one that fails' },
  ]);
  assert.equal(last, `parity: 1 passed, ${methods.size - 1} failed`);
  assert.match(row('open'), /^open +account +pass +x\.test\.js: a title$/);
  assert.match(row('close'), /^close +account +fail +x\.test\.js: the one that fails$/);
  assert.match(row('send'), /^send +message +fail +no test$/);
  assert.equal(status, 1);
});

test('every method is in the table, once, and all of them can pass', (t) => {
  const records = [...methods.keys()].map((method) => ({ method, ok: true }));
  const { status, lines, last } = report(t, records);
  assert.equal(last, `parity: ${methods.size} passed, 0 failed`);
  assert.equal(lines.length, methods.size + 1);
  assert.equal(status, 0);
});

test('the table is written as Markdown', (t) => {
  const { lines, last, row } = report(t, [{ method: 'open', ok: true, title: 'a | b' }], '--markdown');
  assert.deepEqual(lines.slice(0, 2), ['| method | area | result | shown by |', '|---|---|---|---|']);
  assert.equal(row('open'), '| open | account | pass | x.test.js: a \\| b |');
  assert.match(row('getBlacklist'), /^\| getBlacklist \(deprecated\) \| contact \| fail \| no test \|$/);
  assert.equal(last, `parity: 1 passed, ${methods.size - 1} failed`);
});
