'use strict';

// Long enough for a busy machine: a test that passes never waits this long.
const DEADLINE = 10_000;

// within settles as the promise does, or rejects when `ms` have passed.
function within(promise, what, ms = DEADLINE) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${what}: nothing within ${ms} ms`)), ms);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

// until asks again and again, and resolves with the first answer that is true.
async function until(ask, what, ms = DEADLINE) {
  const end = Date.now() + ms;
  for (;;) {
    const answer = await ask();
    if (answer) return answer;
    if (Date.now() > end) throw new Error(`${what}: not within ${ms} ms`);
    await new Promise((resolve) => setTimeout(resolve, 25));
  }
}

module.exports = { DEADLINE, within, until };
