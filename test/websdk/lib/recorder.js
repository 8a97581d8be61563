'use strict';

const { DEADLINE } = require('./wait');

// Recorder keeps what happened, in order, and hands each entry out once to whoever waits for it.
class Recorder {
  entries = [];
  #waiters = new Set();

  add(name, data) {
    const entry = { name, data, taken: false };
    this.entries.push(entry);
    for (const waiter of this.#waiters) {
      if (waiter(entry)) break;
    }
  }

  // next resolves with the data of the first entry of that name that nobody has taken yet and that `accept` likes:
  // one that is there already, or the next to come.
  next(name, accept = () => true, ms = DEADLINE) {
    const take = (entry) => {
      if (entry.taken || entry.name !== name || !accept(entry.data)) return false;
      entry.taken = true;
      return true;
    };
    const ready = this.entries.find(take);
    if (ready) return Promise.resolve(ready.data);
    return new Promise((resolve, reject) => {
      const waiter = (entry) => {
        if (!take(entry)) return false;
        settle();
        resolve(entry.data);
        return true;
      };
      const timer = setTimeout(() => {
        settle();
        reject(new Error(`no ${name} within ${ms} ms; seen: ${this.#tail()}`));
      }, ms);
      const settle = () => {
        clearTimeout(timer);
        this.#waiters.delete(waiter);
      };
      this.#waiters.add(waiter);
    });
  }

  // all returns the data of every entry of that name, taken or not.
  all(name) {
    return this.entries.filter((entry) => entry.name === name).map((entry) => entry.data);
  }

  // count resolves when `n` entries of that name have come; it takes none of them.
  async count(name, n, ms = DEADLINE) {
    let missing = n - this.all(name).length;
    if (missing <= 0) return;
    await new Promise((resolve, reject) => {
      const counter = (entry) => {
        if (entry.name === name && --missing === 0) settle(resolve);
        return false;
      };
      const settle = (outcome, value) => {
        clearTimeout(timer);
        this.#waiters.delete(counter);
        outcome(value);
      };
      const timer = setTimeout(() => settle(reject, new Error(`${missing} of ${n} ${name} missing after ${ms} ms`)), ms);
      this.#waiters.add(counter);
    });
  }

  #tail() {
    return this.entries.slice(-12).map((entry) => entry.name).join(', ') || 'nothing';
  }
}

module.exports = { Recorder };
