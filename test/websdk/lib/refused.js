'use strict';

const assert = require('node:assert/strict');
const { within } = require('./wait');

// refused resolves with the error of a promise that must reject; `what` names the call in the report.
async function refused(promise, what = 'the call') {
  const outcome = await within(
    promise.then(
      (value) => ({ value }),
      (error) => ({ error }),
    ),
    what,
  );
  assert.ok('error' in outcome, `${what} was not refused: ${JSON.stringify(outcome.value)}`);
  return outcome.error;
}

// refusedLogin resolves with the code of a login that the server must refuse, and checks that the code also reaches the
// listeners and that the server closes the socket.
async function refusedLogin(client, credentials) {
  const error = await refused(client.open(credentials), 'open');
  assert.equal((await client.next('onError')).type, error.type);
  assert.equal((await client.next('onDisconnected'))?.type, error.type);
  return error.type;
}

module.exports = { refused, refusedLogin };
