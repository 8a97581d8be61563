'use strict';

const assert = require('node:assert/strict');

// kicked resolves with the error when the client has been told that code and the server has closed the socket; it fails
// if the client took that for a lost connection.
async function kicked(client, code) {
  const error = await client.next('onError', (error) => error.type === code);
  assert.equal((await client.next('onDisconnected'))?.type, code);
  assert.deepEqual(client.all('onReconnecting'), []);
  assert.equal(client.conn.isOpened(), false);
  return error;
}

module.exports = { kicked };
