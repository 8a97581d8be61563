'use strict';

const { createServer } = require('node:http');
const { once } = require('node:events');
const { after, before } = require('node:test');

// translator stands in for a LibreTranslate server that knows French and German. The servers under test are told of it by
// STOA_TRANSLATE_URL: where that is set, they run already, and it listens there. What `fail` holds is answered with 500.
function translator() {
  const it = { fail: null, asked: [] };
  const server = createServer(async (request, response) => {
    const answer = (status, body) => {
      response.writeHead(status, { 'Content-Type': 'application/json' });
      response.end(JSON.stringify(body));
    };
    let text = '';
    for await (const chunk of request) text += chunk;
    if (request.url === '/languages') {
      answer(200, [
        { code: 'fr', name: 'French', targets: ['de'] },
        { code: 'de', name: 'German', targets: ['fr'] },
      ]);
      return;
    }
    const question = JSON.parse(text);
    it.asked.push(question);
    if (question.q === it.fail) answer(500, { error: 'no model' });
    else answer(200, { translatedText: `${question.q} (${question.target})`, detectedLanguage: { language: 'en', confidence: 80 } });
  });
  // The address must be known before the first server starts, and is one that no other test of this machine takes.
  process.env.STOA_TRANSLATE_URL ??= `http://127.0.0.1:${20_000 + (process.pid % 10_000)}`;
  before(async () => {
    server.listen(Number(new URL(process.env.STOA_TRANSLATE_URL).port), '127.0.0.1');
    await once(server, 'listening');
  });
  after(() => server.close());
  return it;
}

module.exports = { translator };
