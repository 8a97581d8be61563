'use strict';

require('./browser');
const { watched } = require('./parity');
const { Recorder } = require('./recorder');

// The releases before agora-chat 1.4.0 and easemob-websdk 4.8 speak through SockJS, which wants an http address. Their
// open() resolves before any socket is up.
const SOCKJS = new Set(['agora-chat-1.3.1', 'agora-chat-1.2.0', 'agora-chat-1.0.5', 'easemob-websdk-4.7']);

function load(name) {
  const module = require(name);
  const sdk = module.default ?? module;
  sdk.logger.disableAll();
  return sdk;
}

// Loading takes seconds on a busy machine: not in the middle of a test that counts them.
load('agora-chat');

let devices = 0;

// Client is one connection object of an SDK with everything that it reports.
class Client extends Recorder {
  // base is the server's http address; `options` are those of the SDK's constructor.
  constructor({ base, sdk = 'agora-chat', appKey = 'stoa#demo', device = `device${++devices}`, ...options }) {
    super();
    this.oldRelease = SOCKJS.has(sdk);
    this.sdk = load(sdk);
    const conn = new this.sdk.connection({
      appKey,
      isHttpDNS: false,
      apiUrl: base,
      url: `${this.oldRelease ? base : base.replace('http', 'ws')}/ws`,
      isFixedDeviceId: false,
      deviceId: device,
      ...options,
    });
    this.conn = sdk === 'agora-chat' ? watched(conn) : conn;
    const anyEvent = { get: (_, name) => name.startsWith('on') && ((data) => this.add(name, data)) };
    this.conn.addEventHandler('recorder', new Proxy({}, anyEvent));
  }

  get resource() {
    return this.conn.clientResource;
  }

  // open signs in and resolves when the SDK has said that it is connected.
  async open(credentials) {
    const answer = await this.conn.open(credentials);
    await this.next('onConnected');
    return answer;
  }

  message(options) {
    return this.sdk.message.create({ chatType: 'singleChat', ...options });
  }

  send(options) {
    return this.conn.send(this.message(options));
  }

  text(to, msg, more = {}) {
    return this.send({ type: 'txt', to, msg, ...more });
  }

  // nextText resolves with the next text message, or the one with that text.
  nextText(msg, ms) {
    return this.next('onTextMessage', (message) => msg === undefined || message.msg === msg, ms);
  }

  texts() {
    return this.all('onTextMessage').map((message) => message.msg);
  }

  close() {
    this.conn.close();
  }
}

module.exports = { Client };
