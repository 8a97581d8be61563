'use strict';

const assert = require('node:assert/strict');
const { test } = require('node:test');
const { until } = require('../lib/wait');
const { localWorld } = require('../lib/world');

const stoa = localWorld();

// taken is how many notifications the providers have taken. The development server's provider is its log.
async function taken() {
  const text = await (await fetch(`${stoa.server.base}/metrics`)).text();
  return Number(/^stoa_notifications_total\{result="taken"\} (\d+)/m.exec(text)[1]);
}

// away is somebody with a push token and without a connection.
async function away(t, name) {
  const person = await stoa.person(name);
  const client = await person.connect(t);
  await client.conn.uploadPushToken({ deviceId: 'phone', deviceToken: `token of ${person.id}`, notifierName: 'log' });
  client.close();
  await person.rest.gone(person.id, client.resource);
  return person;
}

test('who is away is notified of messages, and who is there or wants silence is not', async (t) => {
  const ada = await stoa.person('ada');
  const from = await ada.connect(t);
  const [bob, carol] = [await away(t, 'bob'), await away(t, 'carol')];
  const silent = await carol.connect(t);
  await silent.conn.setSilentModeForAll({ options: { paramType: 0, remindType: 'NONE' } });
  await from.text(carol.id, 'hello'); // she is there
  silent.close();
  await carol.rest.gone(carol.id, silent.resource);
  await from.text(carol.id, 'hello'); // she is silent
  await from.text(bob.id, 'hello');
  await until(async () => (await taken()) > 0, 'a notification');
  await from.text(bob.id, 'once more');
  await until(async () => (await taken()) === 2, 'the second notification');
});

test('a message whose notification a crash interrupts is notified of after it', async (t) => {
  const ada = await stoa.person('ada');
  const from = await ada.connect(t, { autoReconnectNumMax: 20 });
  const bob = await away(t, 'bob');
  const { serverMsgId } = await from.text(bob.id, 'just before the crash');
  await stoa.server.kill();
  await stoa.server.start();
  // Either it had been taken before, or it is now: a device may be told twice, but not never.
  await until(() => stoa.server.wrote(`message=${serverMsgId}`), 'the notification');
  await from.next('onReconnecting');
  await from.next('onConnected');
  await from.text(bob.id, 'after it');
  await until(async () => (await taken()) > 0, 'the next notification');
  assert.ok((await taken()) <= 2);
});
