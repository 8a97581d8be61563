'use strict';

const { spawn } = require('node:child_process');
const { once } = require('node:events');
const fs = require('node:fs');
const path = require('node:path');
const { until, within } = require('./wait');

const BINARY = path.resolve(__dirname, '..', process.env.STOA_BIN ?? '../../bin/stoa');

// No server outlives the test file, however that ends.
const running = new Set();
process.once('exit', () => running.forEach((child) => child.kill('SIGKILL')));
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.once(signal, () => process.exit(1));

// Server is one `stoa dev` process. Its port and data folder stay the same over kill and start.
class Server {
  #child;
  #output = ''; // of this start
  #earlier = ''; // of those before
  #data;
  #port = 0;

  // data is a folder for the server's files; without it the server keeps nothing.
  constructor({ data } = {}) {
    this.#data = data;
  }

  // start resolves when the server is ready.
  async start() {
    if (!fs.existsSync(BINARY)) throw new Error(`no server at ${BINARY}: build it, or set STOA_BIN`);
    const args = ['dev', '--listen', `127.0.0.1:${this.#port}`];
    if (this.#data) args.push('--data', this.#data);
    const child = spawn(BINARY, args, { stdio: ['ignore', 'pipe', 'pipe'] });
    this.#child = child;
    this.#earlier += this.#output;
    this.#output = '';
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding('utf8').on('data', (text) => (this.#output += text));
    }
    running.add(child);
    child.once('exit', () => running.delete(child));
    await until(() => this.#ready(), 'server ready').catch((late) => {
      child.kill('SIGKILL');
      throw new Error(`${late.message}; the server wrote:\n${this.#output}`);
    });
    this.#port = Number(new URL(this.base).port);
    return this;
  }

  async #ready() {
    if (this.#child.exitCode !== null) throw new Error(`exit code ${this.#child.exitCode}`);
    this.base = this.#line(/\bREST\b.*?(http:\/\/127\.0\.0\.1:\d+)/);
    this.appId = this.#line(/App ID\b.*?\b([0-9a-f]{32})\b/i);
    this.certificate = this.#line(/App certificate\b.*?\b([0-9a-f]{32})\b/i);
    if (!this.base || !this.appId || !this.certificate) return false;
    const answer = await fetch(`${this.base}/readyz`).catch(() => null);
    await answer?.text();
    return answer?.status === 200;
  }

  #line(pattern) {
    return pattern.exec(this.#output)?.[1];
  }

  // wrote reports whether the server has written a text to its log, also before it was started again.
  wrote(text) {
    return (this.#earlier + this.#output).includes(text);
  }

  // stop asks the server to end and resolves with its exit code.
  async stop() {
    return this.#end('SIGTERM');
  }

  // kill ends the server as a power cut would.
  async kill() {
    return this.#end('SIGKILL');
  }

  async #end(signal) {
    const child = this.#child;
    if (!child || child.exitCode !== null || child.signalCode !== null) return child?.exitCode;
    const exit = once(child, 'exit');
    child.kill(signal);
    try {
      const [code] = await within(exit, `end of the server after ${signal}`);
      return code;
    } catch (late) {
      child.kill('SIGKILL');
      throw new Error(`${late.message}; the server wrote:\n${this.#output}`);
    }
  }
}

module.exports = { Server };
