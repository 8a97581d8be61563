'use strict';

const assert = require('node:assert/strict');
const { randomBytes } = require('node:crypto');
const { test } = require('node:test');
const zlib = require('node:zlib');
const { download } = require('../lib/download');
const { proves } = require('../lib/parity');
const { GROUP, ROOM, clients, found } = require('../lib/places');
const { until, within } = require('../lib/wait');
const { world } = require('../lib/world');

const stoa = world();

const MiB = 1 << 20;

// png makes an image of one colour.
function png(width, height) {
  const chunk = (type, data) => {
    const body = Buffer.concat([Buffer.from(type), data]);
    const out = Buffer.alloc(body.length + 8);
    out.writeUInt32BE(data.length);
    body.copy(out, 4);
    out.writeUInt32BE(zlib.crc32 ? zlib.crc32(body) : crc(body), body.length + 4);
    return out;
  };
  const head = Buffer.alloc(13);
  head.writeUInt32BE(width);
  head.writeUInt32BE(height, 4);
  head.set([8, 2], 8); // 8 bits, RGB
  const rows = Buffer.concat(Array(height).fill(Buffer.concat([Buffer.from([0]), Buffer.alloc(width * 3, 0x80)])));
  return Buffer.concat([Buffer.from('\x89PNG\r\n\x1a\n', 'latin1'), chunk('IHDR', head), chunk('IDAT', zlib.deflateSync(rows)), chunk('IEND', Buffer.alloc(0))]);
}

// crc is for a Node that has no zlib.crc32.
function crc(data) {
  let c = ~0;
  for (const byte of data) {
    c ^= byte;
    for (let i = 0; i < 8; i++) c = (c >>> 1) ^ (c & 1 ? 0xedb88320 : 0);
  }
  return ~c >>> 0;
}

// file is what an app gives the SDK for a chosen file.
function file(name, type, content) {
  return { data: new File([content], name, { type }), filename: name, filetype: name.split('.').pop(), url: '' };
}

async function pair(t) {
  const [alice, bob] = await stoa.people('alice', 'bob');
  return { alice, bob, from: await alice.connect(t), to: await bob.connect(t) };
}

// bare gets a link as a browser does for <img> and <video>: without headers.
async function bare(url) {
  const answer = await fetch(url);
  return { status: answer.status, type: answer.headers.get('content-type'), bytes: Buffer.from(await answer.arrayBuffer()) };
}

// requests notes what the SDK asks for until the test ends.
function requests(t) {
  const seen = [];
  const real = globalThis.fetch;
  globalThis.fetch = (url, options) => {
    seen.push(`${options?.method ?? 'GET'} ${new URL(url).pathname.split('/').slice(3).join('/')}`);
    return real(url, options);
  };
  t.after(() => (globalThis.fetch = real));
  return seen;
}

const kinds = {
  img: ['onImageMessage', file('ü.png', 'image/png', png(400, 200)), { width: 400, height: 200 }],
  audio: ['onAudioMessage', file('a.mp3', 'audio/mpeg', randomBytes(5000)), { length: 3, file_length: 5000 }],
  video: ['onVideoMessage', file('v.mp4', 'video/mp4', randomBytes(5000)), { length: 4, file_length: 5000 }],
  file: ['onFileMessage', file('notes.txt', 'text/plain', 'some notes'), { file_length: 10 }],
};

for (const [type, [event, attachment, more]] of Object.entries(kinds)) {
  proves('send', `a message of type ${type} arrives with its file`, async (t) => {
    const { bob, from, to } = await pair(t);
    const done = [];
    await from.send({ type, to: bob.id, file: attachment, filename: attachment.filename, ...more, ext: { a: 1 }, onFileUploadComplete: (data) => done.push(data) });
    assert.equal(done.length, 1);
    const message = await to.next(event);
    if (type !== 'img') assert.equal(message.filename, attachment.filename);
    assert.deepEqual(message.ext, { a: 1 });
    assert.equal(message.file_length, attachment.data.size);
    if (more.length) assert.equal(message.length, more.length);
    const content = Buffer.from(await attachment.data.arrayBuffer());
    assert.deepEqual(await download(to, message), content);
    const link = await bare(message.url);
    assert.deepEqual([link.status, link.bytes.equals(content)], [200, true]);
    assert.equal(link.type, type === 'file' ? 'application/octet-stream' : attachment.data.type);
  });
}

for (const words of [GROUP, ROOM]) {
  proves(['send', 'downloadAndParseCombineMessage'], `files and combined messages arrive in a ${words.kind}`, async (t) => {
    const [alice, bob, carol] = await clients(t, stoa, 'alice', 'bob', 'carol');
    const place = await found(words, stoa.rest, [alice, bob, carol]);
    const to = { chatType: place.chatType, to: place.target };
    const image = png(40, 20);
    await alice.send({ ...to, type: 'img', file: file('a.png', 'image/png', image), thumbnailWidth: 10, thumbnailHeight: 10 });
    for (const client of [bob, carol]) {
      const message = await client.next('onImageMessage');
      assert.equal(message.to, place.target);
      assert.ok((await download(client, message)).equals(image));
      assert.equal((await bare(message.thumb)).type, 'image/jpeg');
    }
    await place.say(bob, 'nice');
    const said = await carol.next('onTextMessage');
    await carol.send({ ...to, type: 'combine', compatibleText: 'combined', title: 'what bob said', summary: 'nice', messageList: [said] });
    const combined = await alice.next('onCombineMessage');
    const [inner] = await alice.conn.downloadAndParseCombineMessage({ url: combined.url, secret: combined.secret });
    assert.deepEqual([inner.msg, inner.from, inner.to, inner.chatType], ['nice', bob.user, place.target, place.chatType]);
  });
}

proves('send', 'an image has a thumbnail in the box that was asked for', async (t) => {
  const { bob, from, to } = await pair(t);
  await from.send({ type: 'img', to: bob.id, file: file('a.png', 'image/png', png(400, 200)), thumbnailWidth: 100, thumbnailHeight: 100 });
  const { thumb } = await to.next('onImageMessage');
  const { status, type, bytes } = await bare(thumb);
  assert.deepEqual([status, type], [200, 'image/jpeg']);
  const frame = bytes.indexOf(Buffer.from([0xff, 0xc0]));
  assert.deepEqual([bytes.readUInt16BE(frame + 7), bytes.readUInt16BE(frame + 5)], [100, 50]);
});

test('a video without a picture has none: 200', async (t) => {
  const { bob, from, to } = await pair(t);
  await from.send({ type: 'video', to: bob.id, file: file('v.mp4', 'video/mp4', randomBytes(100)), length: 4, file_length: 100 });
  const message = await to.next('onVideoMessage');
  assert.match(message.thumb, /vframe=true/);
  await assert.rejects(download(to, { url: message.thumb }), { type: 200 });
});

proves('send', 'a large file goes up in parts', async (t) => {
  await stoa.rest.change(t, { file_max_bytes: 20 * MiB });
  const { bob, from, to } = await pair(t);
  const content = randomBytes(9 * MiB + 11);
  const seen = requests(t);
  await from.send({ type: 'file', to: bob.id, file: file('large.bin', 'application/octet-stream', content), filename: 'large.bin', file_length: content.length });
  assert.equal(seen.filter((line) => line.startsWith('PUT sdk/chatfiles/part-upload/')).length, 2);
  assert.ok(!seen.includes('POST chatfiles'), 'it did not go up once more as a whole');
  const message = await to.next('onFileMessage');
  assert.ok((await download(to, message)).equals(content));
});

proves('send', 'what is too large is refused with 101', async (t) => {
  const { bob, from, to } = await pair(t);
  const send = (bytes) => from.send({ type: 'file', to: bob.id, file: file('a.bin', '', Buffer.alloc(bytes)), filename: 'a.bin', file_length: bytes });
  // In one piece, and where parts are refused because of the limit.
  await stoa.rest.change(t, { file_max_bytes: MiB });
  for (const bytes of [2 * MiB, 9 * MiB]) {
    await assert.rejects(within(send(bytes), 'the refusal'), { type: 101 });
  }
  await send(MiB);
  await to.next('onFileMessage');
  assert.equal(to.all('onFileMessage').length, 1);
});

proves('send', 'an app without files refuses them with 101', async (t) => {
  const { bob, from } = await pair(t);
  await stoa.rest.change(t, { files: false });
  const refused = await within(from.send({ type: 'file', to: bob.id, file: file('a.txt', 'text/plain', 'x'), filename: 'a.txt', file_length: 1 }), 'the refusal')
    .then(() => assert.fail('it was sent'), (error) => error);
  assert.equal(refused.type, 101);
  assert.match(JSON.stringify(refused.data), /service not open!/);
});

test('refused downloads: 200, 222, 223', async (t) => {
  const { bob, from, to } = await pair(t);
  await from.send({ type: 'file', to: bob.id, file: file('a.txt', 'text/plain', 'x'), filename: 'a.txt', file_length: 1 });
  const { url, secret } = await to.next('onFileMessage');
  const address = url.split('?')[0];
  await assert.rejects(download(to, { url: address.replace(/[^/]*$/, 'b2b5a3b0-3b0f-4bd5-9a0c-000000000000') }), { type: 200 });
  await assert.rejects(download(to, { url: address }), { type: 222 });
  await assert.rejects(download(to, { url: address, secret: `${secret}x` }), { type: 222 });
  await assert.rejects(to.conn.downloadAndParseCombineMessage({ url: address, secret: 'x' }), (error) => error.type === 200 && error.data.type === 222);
  assert.equal(String(await download(to, { url: address, secret })), 'x');
  assert.equal(String(await download(from, { url: address })), 'x', 'the owner needs no secret');
  await stoa.rest.change(t, { file_lifetime_seconds: 1 });
  const expired = async () => download(to, { url: address, secret }).then(() => false, (error) => error);
  assert.equal((await until(expired, 'the end of the file')).type, 223);
});

proves(['send', 'downloadAndParseCombineMessage'], 'a combined message is read as it was written, also one within another', async (t) => {
  const [alice, bob, carol] = await stoa.people('alice', 'bob', 'carol');
  const [from, to, third] = [await alice.connect(t), await bob.connect(t), await carol.connect(t)];
  await from.text(bob.id, 'first ☃', { ext: { a: { b: 1 } } });
  await from.send({ type: 'img', to: bob.id, file: file('a.png', 'image/png', png(4, 2)), width: 4, height: 2 });
  const list = [await to.next('onTextMessage'), await to.next('onImageMessage')];
  const combine = (client, receiver, messageList, title) =>
    client.send({ type: 'combine', to: receiver, compatibleText: 'a combined message', title, summary: 'alice: first…', messageList });
  await combine(to, carol.id, list, 'history');
  const outer = await third.next('onCombineMessage');
  assert.deepEqual([outer.title, outer.summary, outer.compatibleText, outer.combineLevel], ['history', 'alice: first…', 'a combined message', 1]);
  const parsed = await third.conn.downloadAndParseCombineMessage({ url: outer.url, secret: outer.secret });
  assert.deepEqual(parsed.map(({ type, from: by, to: whom }) => [type, by, whom]), [['txt', alice.id, bob.id], ['img', alice.id, bob.id]]);
  assert.equal(parsed[0].msg, 'first ☃');
  assert.deepEqual(parsed[0].ext, { a: { b: 1 } });
  assert.equal(parsed[0].id, list[0].id);
  assert.ok((await download(third, parsed[1])).equals(png(4, 2)), 'the image of a message within it');

  await combine(third, alice.id, [outer], 'history of a history');
  const nested = await from.next('onCombineMessage');
  assert.equal(nested.combineLevel, 2);
  const [inner] = await from.conn.downloadAndParseCombineMessage({ url: nested.url, secret: nested.secret });
  assert.deepEqual([inner.type, inner.title], ['combine', 'history']);
  const innermost = await from.conn.downloadAndParseCombineMessage({ url: inner.url, secret: inner.secret });
  assert.deepEqual(innermost.map(({ msg }) => msg)[0], 'first ☃');
});

test('a combined message that is none is refused with 203', async (t) => {
  const { bob, from, to } = await pair(t);
  for (const content of ['cmx', 'no combined message', randomBytes(100)]) {
    await from.send({ type: 'file', to: bob.id, file: file('combine', '', content), filename: 'combine', file_length: content.length });
    const { url, secret } = await to.next('onFileMessage');
    await assert.rejects(to.conn.downloadAndParseCombineMessage({ url, secret }), { type: 203 });
  }
});

test('files that are no uploads keep their address', async (t) => {
  const { bob, from, to } = await pair(t);
  const url = 'https://files.example/a.png?x=1';
  await from.send({ type: 'img', to: bob.id, url, body: { url, type: 'png', filename: 'a.png' } });
  assert.match((await to.next('onImageMessage')).url, /a\.png\?x=1/);
});

test('pages of other origins may ask for a range and see it', async (t) => {
  const { bob, from, to } = await pair(t);
  await from.send({ type: 'video', to: bob.id, file: file('v.mp4', 'video/mp4', '0123456789'), length: 4, file_length: 10 });
  const { url } = await to.next('onVideoMessage');
  const answer = await fetch(url, { headers: { Origin: 'https://app.example', Range: 'bytes=2-4' } });
  assert.deepEqual([answer.status, await answer.text()], [206, '234']);
  assert.equal(answer.headers.get('access-control-allow-origin'), '*');
  assert.match(answer.headers.get('access-control-expose-headers'), /Content-Range/);
  const ask = await fetch(url, { method: 'OPTIONS', headers: { Origin: 'https://app.example', 'Access-Control-Request-Method': 'GET', 'Access-Control-Request-Headers': 'range,share-secret' } });
  await ask.text();
  for (const name of ['Range', 'share-secret', 'restrict-access']) assert.match(ask.headers.get('access-control-allow-headers'), new RegExp(`\\b${name}\\b`, 'i'));
});

for (const sdk of ['agora-chat-1.3.1', 'agora-chat-1.2.0', 'agora-chat-1.0.5', 'easemob-websdk', 'easemob-websdk-4.7']) {
  test(`${sdk} exchanges files with agora-chat`, async (t) => {
    const [alice, bob] = await stoa.people('alice', 'bob');
    const other = await alice.connect(t, { sdk });
    const current = await bob.connect(t);
    for (const [from, to, receiver] of [[other, current, bob], [current, other, alice]]) {
      await from.send({ type: 'file', to: receiver.id, file: file('a.txt', 'text/plain', 'some notes'), filename: 'a.txt', file_length: 10 });
      const message = await to.next('onFileMessage');
      assert.equal((await bare(message.url)).bytes.toString(), 'some notes');
    }
  });
}
