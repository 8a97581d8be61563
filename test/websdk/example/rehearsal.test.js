'use strict';

// How an app's own tests rehearse errors, in any language that can start a program and speak HTTP: `stoa dev` on a free
// port, the unmodified client, and a request for each error. Only the globals that a browser has come from elsewhere.

require('../lib/browser');
const assert = require('node:assert/strict');
const { spawn } = require('node:child_process');
const { once } = require('node:events');
const path = require('node:path');
const { createInterface } = require('node:readline');
const { after, before, test } = require('node:test');
const { default: AC } = require('agora-chat');

const binary = process.env.STOA_BIN ?? path.join(__dirname, '../../../bin/stoa');
let server, base, token, alice;

before(async () => {
  AC.logger.disableAll();
  server = spawn(binary, ['dev', '--listen', '127.0.0.1:0'], { stdio: ['ignore', 'pipe', 'inherit'] });
  for await (const line of createInterface({ input: server.stdout })) {
    base = /REST\s+(http:\S+)/.exec(line)?.[1];
    if (base) break;
  }
  const credentials = { grant_type: 'client_credentials', client_id: 'stoa-demo-id', client_secret: 'stoa-demo-secret' };
  token = (await post('/token', credentials)).access_token;
  alice = new AC.connection({ appKey: 'stoa#demo', isHttpDNS: false, url: `${base.replace('http', 'ws')}/ws`, apiUrl: base });
  await alice.open({ user: 'alice', pwd: 'stoa' });
});

after(async () => {
  alice?.close();
  server.kill();
  await once(server, 'exit');
});

async function post(path, body) {
  const headers = { 'Content-Type': 'application/json', ...(token && { Authorization: `Bearer ${token}` }) };
  const answer = await fetch(`${base}/stoa/demo${path}`, { method: 'POST', headers, body: JSON.stringify(body) });
  assert.equal(answer.status, 200, await answer.clone().text());
  return answer.json();
}

const rehearse = (code) => post('/rehearsals', { user: 'alice', code });
const send = () => alice.send(AC.message.create({ type: 'txt', chatType: 'singleChat', to: 'bob', msg: 'hello' }));

// send in place of the app's own code: what is to be tested is what the app does about the error.
for (const [code, what] of [
  [221, 'the receiver wants messages of contacts only'],
  [219, 'the user is muted in the whole app'],
  [501, 'the message holds something forbidden'],
  [509, 'the user sends too fast'],
]) {
  test(`${what} (${code})`, async () => {
    await rehearse(code);
    await assert.rejects(send(), { type: code });
    await send(); // it was met once
  });
}

test('another device takes the session (206)', async () => {
  const told = new Promise((resolve) => alice.addEventHandler('example', { onError: resolve }));
  await rehearse(206);
  assert.equal((await told).type, 206);
  await alice.open({ user: 'alice', pwd: 'stoa' });
  await send();
});
