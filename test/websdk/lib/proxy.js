'use strict';

const net = require('node:net');
const { once } = require('node:events');

// Proxy is a TCP relay between clients and one server, for network faults.
class Proxy {
  #listener;
  #links = new Set();
  #lostUp = false;
  #lostDown = false;

  // start resolves when the proxy listens; `base` is the server's http address.
  static async start(t, base) {
    const proxy = new Proxy();
    await proxy.#listen(new URL(base));
    t.after(() => proxy.#stop());
    return proxy;
  }

  async #listen(target) {
    this.#listener = net.createServer((client) => this.#relay(client, net.connect(target.port, target.hostname)));
    this.#listener.listen(0, '127.0.0.1');
    await once(this.#listener, 'listening');
    this.base = `http://127.0.0.1:${this.#listener.address().port}`;
  }

  #relay(client, server) {
    const link = { client, server };
    this.#links.add(link);
    const end = () => {
      client.destroy();
      server.end();
      this.#links.delete(link);
    };
    client.on('data', (chunk) => this.#lostUp || server.write(chunk));
    server.on('data', (chunk) => this.#lostDown || client.write(chunk));
    for (const socket of [client, server]) socket.setNoDelay().on('close', end).on('error', end);
  }

  // loseUp throws away what clients say, until the next cut.
  loseUp() {
    this.#lostUp = true;
  }

  // loseDown throws away what the server says, until the next cut.
  loseDown() {
    this.#lostDown = true;
  }

  // cut breaks every connection. What was let through before has been handed to the server's socket.
  cut() {
    for (const { client } of this.#links) client.destroy();
    this.#lostUp = false;
    this.#lostDown = false;
  }

  #stop() {
    this.cut();
    this.#listener.close();
  }
}

module.exports = { Proxy };
