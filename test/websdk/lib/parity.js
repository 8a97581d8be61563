'use strict';

// Which of the SDK's public methods work is told by the tests themselves: proves() names the methods whose effect a test
// shows, and what became of the test goes into the file of STOA_PARITY, if that is set (docs/parity.md is made of it).

const fs = require('node:fs');
const path = require('node:path');
const { test } = require('node:test');
const { methods } = require('./methods');

// What has been called on the connections of agora-chat 1.4.0 since the running test began.
const called = new Set();

// watched notes calls of a connection's public methods.
function watched(conn) {
  return new Proxy(conn, {
    get(target, name, receiver) {
      const value = Reflect.get(target, name, receiver);
      if (typeof value !== 'function') return value;
      return (...args) => {
        called.add(name);
        return value.apply(target, args);
      };
    },
  });
}

// note counts a call of a method that is not one of the connection, as message.download.
function note(name) {
  called.add(name);
}

// proves is a test that shows that methods (a name or several) work. It fails if one of them is not called in it: a
// deprecated alias needs a call of its own. Tests of one file run one after another.
function proves(names, title, body) {
  const wanted = [].concat(names);
  for (const name of wanted) {
    if (!methods.has(name)) throw new Error(`${name} is no public method of the SDK`);
  }
  test(title, async (t) => {
    called.clear();
    let ok = false;
    try {
      await body(t);
      const missing = wanted.filter((name) => !called.has(name));
      if (missing.length > 0) throw new Error(`not called: ${missing.join(', ')}`);
      ok = true;
    } finally {
      record(wanted, title, ok);
    }
  });
}

function record(names, title, ok) {
  if (!process.env.STOA_PARITY) return;
  const file = path.basename(process.argv[1] ?? '');
  const lines = names.map((method) => JSON.stringify({ method, ok, file, title }) + '\n');
  fs.appendFileSync(process.env.STOA_PARITY, lines.join(''));
}

module.exports = { proves, watched, note };
