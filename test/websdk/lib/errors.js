'use strict';

// How each code of the catalogue reaches the web SDK is told by the tests themselves: raises() is a test that shows it,
// and what became of it goes into the file of STOA_ERRORS, if that is set (`make errors` prints it).

const fs = require('node:fs');
const path = require('node:path');
const { test } = require('node:test');

const file = path.join(__dirname, '../../../errcode/error-codes.json');
const catalogue = new Map(JSON.parse(fs.readFileSync(file, 'utf8')).map((entry) => [entry.code, entry]));

// raises is a test that shows that a code arrives in a way: 'web return', 'web onError' or 'rehearsed web'. Several codes
// or ways are shown by one test.
function raises(codes, ways, title, body) {
  const all = [].concat(codes);
  for (const code of all) if (!catalogue.has(code)) throw new Error(`there is no code ${code}`);
  test(`${all.join(', ')}: ${title}`, async (t) => {
    let ok = false;
    try {
      await body(t);
      ok = true;
    } finally {
      record(all, [].concat(ways), ok);
    }
  });
}

function record(codes, ways, ok) {
  if (!process.env.STOA_ERRORS) return;
  const by = path.basename(process.argv[1] ?? '');
  const lines = codes.flatMap((code) => ways.map((way) => JSON.stringify({ code, way, ok, by }) + '\n'));
  fs.appendFileSync(process.env.STOA_ERRORS, lines.join(''));
}

module.exports = { raises, catalogue };
