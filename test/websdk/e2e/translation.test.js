'use strict';

const assert = require('node:assert/strict');
const { raises } = require('../lib/errors');
const { proves } = require('../lib/parity');
const { translator } = require('../lib/translator');
const { world } = require('../lib/world');

const service = translator();
const stoa = world();

proves('getSupportedLanguages', 'the languages of the provider are listed', async (t) => {
  const { conn } = await (await stoa.person('alice')).connect(t);
  assert.deepEqual((await conn.getSupportedLanguages()).data, [
    { code: 'fr', name: 'French', nativeName: 'français' },
    { code: 'de', name: 'German', nativeName: 'Deutsch' },
  ]);
});

proves('translateMessage', 'a text is translated into several languages', async (t) => {
  const { conn } = await (await stoa.person('alice')).connect(t);
  assert.deepEqual((await conn.translateMessage({ text: 'hello ☃', languages: ['de', 'fr'] })).data, [
    {
      detectedLanguage: { language: 'en', score: 0.8 },
      translations: [
        { text: 'hello ☃ (de)', to: 'de' },
        { text: 'hello ☃ (fr)', to: 'fr' },
      ],
    },
  ]);
});

raises([1200, 1201, 1204, 505], 'web return', 'what is not translated is refused with its code', async (t) => {
  const { conn } = await (await stoa.person('alice')).connect(t);
  await assert.rejects(conn.translateMessage({ text: 'hello', languages: ['xx'] }), { type: 1200 });
  await assert.rejects(conn.translateMessage({ text: 'hello', languages: [] }), { type: 1200 });
  await assert.rejects(conn.translateMessage({ text: 'x'.repeat(5001), languages: ['fr'] }), { type: 1201 });
  service.fail = `fail ${Math.random()}`;
  await assert.rejects(conn.translateMessage({ text: service.fail, languages: ['fr'] }), { type: 1204 });
  await stoa.rest.change(t, { translation: false });
  await assert.rejects(conn.translateMessage({ text: 'hello', languages: ['fr'] }), { type: 505 });
  await assert.rejects(conn.getSupportedLanguages(), { type: 505 });
});

proves('send', 'a message brings the translations that its sender asked for', async (t) => {
  const [alice, bob] = await stoa.people('alice', 'bob');
  const from = await alice.connect(t);
  const to = await bob.connect(t);
  await from.text(bob.id, 'hello', { msgConfig: { languages: ['fr', 'de'] } });
  const { msg, translations } = await to.nextText();
  assert.equal(msg, 'hello');
  assert.deepEqual(translations, [
    { code: 'fr', text: 'hello (fr)' },
    { code: 'de', text: 'hello (de)' },
  ]);
  await assert.rejects(from.text(bob.id, 'hello', { msgConfig: { languages: ['xx'] } }), { type: 1200 });
});
