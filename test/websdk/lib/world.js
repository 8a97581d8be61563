'use strict';

// What a test file begins with: the servers, and people who live on them.

const { randomBytes } = require('node:crypto');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { after, before } = require('node:test');
const { Client } = require('./sdk');
const { Rest } = require('./rest');
const { Server } = require('./server');
require('./strict');

// Where the nodes come from and how their app is called; the defaults are what `stoa dev` sets up.
const env = {
  urls: process.env.STOA_URLS?.split(',').map((url) => url.trim().replace(/\/$/, '')),
  appKey: process.env.STOA_APP_KEY ?? 'stoa#demo',
  clientId: process.env.STOA_CLIENT_ID ?? 'stoa-demo-id',
  clientSecret: process.env.STOA_CLIENT_SECRET ?? 'stoa-demo-secret',
  appId: process.env.STOA_APP_ID,
  certificate: process.env.STOA_APP_CERTIFICATE,
};

// Person is a user of the app with a home node, a token and, if asked for, a password.
class Person {
  constructor(world, id, node) {
    this.world = world;
    this.id = id;
    this.base = world.nodes[node];
    this.rest = world.rests[node];
  }

  // device makes a client that is not signed in; it is closed when the test ends.
  device(t, options = {}) {
    const client = new Client({ base: this.base, appKey: env.appKey, ...options });
    t.after(() => client.close());
    return client;
  }

  // connect makes a client and signs it in with the person's token.
  async connect(t, options) {
    const client = this.device(t, options);
    await client.open({ user: this.id, accessToken: this.token });
    return client;
  }
}

class World {
  #given;
  #data;

  // given: base addresses of nodes that run already; without any the world starts a server. data: whether that server
  // keeps its data over a restart.
  constructor({ given, data }) {
    this.#given = given;
    this.#data = data && fs.mkdtempSync(path.join(os.tmpdir(), 'stoa-'));
  }

  async start() {
    if (!this.#given) this.server = await new Server({ data: this.#data }).start();
    this.nodes = this.#given ?? [this.server.base];
    this.appKey = env.appKey;
    this.rests = this.nodes.map((base) => new Rest(base, env));
    this.appId = this.server?.appId ?? env.appId;
    this.certificate = this.server?.certificate ?? env.certificate;
    if (!this.appId || !this.certificate) throw new Error('STOA_URLS needs STOA_APP_ID and STOA_APP_CERTIFICATE');
  }

  async stop() {
    await this.server?.stop();
    if (this.#data) fs.rmSync(this.#data, { recursive: true });
  }

  get rest() {
    return this.rests[0];
  }

  // people creates users with those names and something unique behind. The first lives on the first node, the second on
  // the second, and so on.
  people(...names) {
    const create = async (name, i) => {
      const person = new Person(this, `${name}-${randomBytes(4).toString('hex')}`, i % this.nodes.length);
      person.token = await person.rest.inheritToken(person.id);
      return person;
    };
    return Promise.all(names.map(create));
  }

  async person(name) {
    return (await this.people(name))[0];
  }

  // registered creates a user with a password.
  async registered(name, password) {
    const person = await this.stranger(name);
    await person.rest.createUser(person.id, password);
    person.password = password;
    return person;
  }

  // stranger is somebody whom the server does not know.
  async stranger(name) {
    return new Person(this, `${name}-${randomBytes(4).toString('hex')}`, 0);
  }
}

function inhabit(it) {
  before(() => it.start());
  after(() => it.stop());
  return it;
}

// world is the nodes of STOA_URLS, or a server of the test file's own.
function world() {
  return inhabit(new World({ given: env.urls }));
}

// localWorld is a server of the test file's own, which the tests may kill and start again.
function localWorld() {
  return inhabit(new World({ data: true }));
}

module.exports = { world, localWorld };
