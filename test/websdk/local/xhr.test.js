'use strict';

// The harness's own XMLHttpRequest, on which every REST call of the SDKs rests.

const assert = require('node:assert/strict');
const { once } = require('node:events');
const http = require('node:http');
const { after, before, test } = require('node:test');
const { XMLHttpRequest } = require('../lib/xhr');
require('../lib/strict');

let base;
const server = http.createServer(async (request, answer) => {
  const chunks = [];
  for await (const chunk of request) chunks.push(chunk);
  if (request.url === '/silent') return;
  if (request.url === '/moved') return answer.writeHead(302, { Location: '/echo' }).end();
  answer.writeHead(request.url === '/missing' ? 404 : 200, { 'X-Method': request.method });
  answer.end(JSON.stringify({ type: request.headers['content-type'], body: Buffer.concat(chunks).toString() }));
});

before(async () => {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  base = `http://127.0.0.1:${server.address().port}`;
});

after(() => {
  server.close();
  server.closeAllConnections();
});

// ask sends a request and resolves with it when it has ended, and with the names of the events that it fired.
function ask(method, path, { body, ...properties } = {}) {
  const xhr = Object.assign(new XMLHttpRequest(), properties);
  const events = [];
  for (const type of ['load', 'error', 'abort', 'timeout']) xhr.addEventListener(type, () => events.push(type));
  const ended = new Promise((resolve) => (xhr.onloadend = () => resolve({ xhr, events })));
  xhr.open(method, base + path);
  xhr.setRequestHeader('Content-Type', 'application/json');
  xhr.send(body);
  return { xhr, ended };
}

test('a call sends its body and headers, and any status is an answer', async () => {
  const { xhr, events } = await ask('POST', '/missing', { body: '{"a":1}' }).ended;
  assert.equal(xhr.readyState, 4);
  assert.equal(xhr.status, 404);
  assert.equal(xhr.getResponseHeader('x-method'), 'POST');
  assert.deepEqual(JSON.parse(xhr.responseText), { type: 'application/json', body: '{"a":1}' });
  assert.deepEqual(events, ['load']);
});

test('the address after a redirection is told', async () => {
  const { xhr } = await ask('GET', '/moved').ended;
  assert.equal(xhr.responseURL, `${base}/echo`);
});

test('bytes arrive as blob or array buffer', async () => {
  const blob = (await ask('GET', '/', { responseType: 'blob' }).ended).xhr.response;
  assert.ok(blob instanceof Blob);
  const buffer = (await ask('GET', '/', { responseType: 'arraybuffer' }).ended).xhr.response;
  assert.ok(buffer instanceof ArrayBuffer);
});

test('a form with a file is sent as multipart, and the upload is reported', async () => {
  const form = new FormData();
  form.append('file', new Blob(['content']), 'note.txt');
  const xhr = new XMLHttpRequest();
  const uploaded = once(xhr.upload, 'load');
  const loaded = once(xhr, 'load');
  xhr.open('POST', `${base}/`);
  xhr.send(form);
  await Promise.all([uploaded, loaded]);
  const { type, body } = JSON.parse(xhr.responseText);
  assert.match(type, /^multipart\/form-data; boundary=/);
  assert.match(body, /filename="note.txt"[\s\S]*content/);
});

test('silence, an abort and a dead server each fire their own event, with status 0', async () => {
  const late = await ask('GET', '/silent', { timeout: 50 }).ended;
  assert.deepEqual(late.events, ['timeout']);
  const { xhr, ended } = ask('GET', '/silent');
  xhr.abort();
  assert.deepEqual((await ended).events, ['abort']);
  const dead = new XMLHttpRequest();
  const failed = once(dead, 'error');
  dead.open('GET', 'http://127.0.0.1:1/');
  dead.send();
  await failed;
  assert.equal(dead.status, 0);
});
