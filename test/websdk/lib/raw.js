'use strict';

const path = require('node:path');
const protobuf = require('protobufjs');
const WebSocket = require('ws');
const { Recorder } = require('./recorder');

const schema = protobuf.loadSync(path.join(__dirname, '../../../internal/msync/chat.proto')).lookup('stoa.msync');
const UP = { SYNC: 'CommSyncUL', UNREAD: 'CommUnreadUL', PROVISION: 'Provision' };
const DOWN = { SYNC: 'CommSyncDL', UNREAD: 'CommUnreadDL', NOTICE: 'CommNotice', PROVISION: 'Provision' };

// encode makes the bytes of a message of chat.proto from a plain object; enums by name, ids as decimal strings.
function encode(type, fields) {
  const message = schema.lookupType(type);
  return message.encode(message.fromObject(fields)).finish();
}

function decode(type, bytes) {
  const message = schema.lookupType(type);
  return message.toObject(message.decode(bytes), { longs: String, enums: String, defaults: true });
}

// RawClient speaks the wire without an SDK, for what an SDK would not say. Frames down are recorded by the name of their
// command; `closed` is recorded when the socket ends.
class RawClient extends Recorder {
  static async dial(t, base) {
    const client = new RawClient(`${base.replace('http', 'ws')}/ws`);
    t.after(() => client.socket.terminate());
    await client.next('opened');
    return client;
  }

  constructor(url) {
    super();
    this.socket = new WebSocket(url);
    this.socket.on('open', () => this.add('opened'));
    this.socket.on('message', (bytes) => this.#frame(bytes));
    this.socket.on('error', () => {});
    this.socket.on('close', (code) => this.add('closed', code));
  }

  #frame(bytes) {
    const { command, payload } = decode('MSync', bytes);
    this.add(command, decode(DOWN[command], payload));
  }

  // say sends one frame.
  say(command, fields = {}, envelope = {}) {
    this.socket.send(encode('MSync', { command, payload: encode(UP[command], fields), ...envelope }));
  }

  // signIn resolves with the Provision answer, after asking for what is unread as every client does.
  async signIn(appKey, user, token, resource) {
    this.name = user;
    this.appKey = appKey;
    const guid = { appKey, name: user, domain: 'easemob.com', clientResource: resource };
    const authToken = JSON.stringify({ token: `$t$${token}` });
    const device = { resource, deviceUuid: resource, deviceName: resource };
    this.say('PROVISION', { osType: 'OS_OTHER', version: '1.4.0', authToken, ...device }, { guid, auth: `$t$${token}` });
    const answer = await this.next('PROVISION');
    if (answer.status.errorCode === 'OK') {
      this.say('UNREAD');
      await this.next('UNREAD');
    }
    return answer;
  }

  // post sends a text in a Meta with that id; `meta` and `body` replace fields.
  post(id, to, text, { meta = {}, body = {} } = {}) {
    const payload = encode('MessageBody', {
      type: 'CHAT',
      from: { name: this.name },
      to: { name: to },
      contents: [{ type: 'TEXT', text }],
      ...body,
    });
    const toJid = { appKey: this.appKey, name: to, domain: 'easemob.com' };
    this.say('SYNC', { meta: { id, to: toJid, ns: 'CHAT', payload, ...meta } });
    return this.answer(id);
  }

  // answer resolves with the answer to the Meta of that id.
  answer(id) {
    return this.next('SYNC', (sync) => sync.metaId === id);
  }

  // batch resolves with the next batch that carries metas.
  batch() {
    return this.next('SYNC', (sync) => sync.metas.length > 0);
  }
}

module.exports = { RawClient, encode, decode };
