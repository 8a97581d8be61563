'use strict';

const assert = require('node:assert/strict');
const { proves } = require('../lib/parity');
const { Proxy } = require('../lib/proxy');
const { until } = require('../lib/wait');
const { world } = require('../lib/world');

const stoa = world();

const HOUR = 3600;

// news resolves with the next change of a user of which accept likes the devices: an object of status by device.
async function news(client, user, accept = () => true) {
  const [change] = await client.next('onPresenceStatusChange', ([{ userId, statusDetails }]) => userId === user && accept(statuses(statusDetails)));
  return { ...change, devices: statuses(change.statusDetails) };
}

function statuses(details) {
  return Object.fromEntries(details.map(({ device, status }) => [device, status]));
}

async function watching(t) {
  const [ada, bob] = await stoa.people('ada', 'bob');
  const watcher = await bob.connect(t);
  await watcher.conn.subscribePresence({ usernames: [ada.id], expiry: HOUR });
  return { ada, bob, watcher };
}

proves('subscribePresence', 'a subscriber sees how the other is, and hears when the other comes and closes', async (t) => {
  const [ada, bob] = await stoa.people('ada', 'bob');
  const watcher = await bob.connect(t);
  const before = Math.floor(Date.now() / 1000);
  const answer = await watcher.conn.subscribePresence({ usernames: [ada.id], expiry: HOUR });
  const [state] = answer.result;
  assert.deepEqual(answer.data.result, answer.result);
  assert.deepEqual([state.uid, state.ext, state.last_time, state.status], [ada.id, '', '0', {}]);
  assert.ok(Number(state.expiry) >= before + HOUR && Number(state.expiry) <= before + HOUR + 60, state.expiry);

  const web = await ada.connect(t);
  const came = await news(watcher, ada.id);
  assert.deepEqual(came.devices, { [web.resource]: 1 });
  assert.equal(came.expire, Number(state.expiry));
  assert.ok(came.lastTime >= before, `changed ${came.lastTime}`);
  web.close();
  assert.deepEqual((await news(watcher, ada.id)).devices, { [web.resource]: 0 });
});

proves('subscribePresence', 'several devices are told apart', async (t) => {
  const { ada, watcher } = await watching(t);
  const first = await ada.connect(t);
  await news(watcher, ada.id);
  const second = await ada.connect(t);
  assert.deepEqual((await news(watcher, ada.id)).devices, { [first.resource]: 1, [second.resource]: 1 });
  first.close();
  assert.deepEqual((await news(watcher, ada.id)).devices, { [first.resource]: 0, [second.resource]: 1 });
});

proves('subscribePresence', 'a connection that dies is noticed, and a short cut is not', async (t) => {
  const { ada, watcher } = await watching(t);
  const proxy = await Proxy.start(t, ada.base);
  const web = await ada.connect(t, { base: proxy.base });
  assert.deepEqual((await news(watcher, ada.id)).devices, { [web.resource]: 1 });

  proxy.cut();
  await web.next('onReconnecting');
  await web.next('onConnected');
  await web.conn.publishPresence({ description: 'back' });
  const back = await news(watcher, ada.id);
  assert.deepEqual([back.ext, back.devices], ['back', { [web.resource]: 1 }]);
  const gone = watcher.all('onPresenceStatusChange').filter(([{ statusDetails }]) => statusDetails.some(({ status }) => status === 0));
  assert.deepEqual(gone, []);

  web.conn.autoReconnectNumMax = 0; // the client is gone for good, without a goodbye
  proxy.cut();
  assert.deepEqual((await news(watcher, ada.id)).devices, { [web.resource]: 0 });
});

proves(['publishPresence', 'getPresenceStatus'], 'a text that is published reaches subscribers, and who asks', async (t) => {
  const { ada, bob, watcher } = await watching(t);
  const web = await ada.connect(t);
  await news(watcher, ada.id);
  assert.equal(await web.conn.publishPresence({ description: 'at lunch ☃\n\u{1F600}' }), undefined);
  const heard = await news(watcher, ada.id);
  assert.deepEqual([heard.ext, heard.devices], ['at lunch ☃\n\u{1F600}', { [web.resource]: 1 }]);

  const carol = await (await stoa.person('carol')).connect(t);
  const { result } = await carol.conn.getPresenceStatus({ usernames: [ada.id, bob.id, 'nobody-at-all'] });
  assert.deepEqual(result.map(({ uid, ext, status }) => [uid, ext, status]), [
    [ada.id, 'at lunch ☃\n\u{1F600}', { [web.resource]: '1' }],
    [bob.id, '', { [watcher.resource]: '1' }],
    ['nobody-at-all', '', {}],
  ]);
  web.close();
  await until(async () => {
    const answer = await carol.conn.getPresenceStatus({ usernames: [ada.id] });
    return answer.result[0].status[web.resource] === '0';
  }, 'the device is shown as offline');
});

proves('publishPresence', 'a text of more than 1024 bytes is refused with 1100', async (t) => {
  const { ada, watcher } = await watching(t);
  const web = await ada.connect(t);
  await web.conn.publishPresence({ description: 'é'.repeat(512) });
  await assert.rejects(web.conn.publishPresence({ description: 'é'.repeat(512) + '.' }), { type: 1100 });
  assert.equal((await watcher.conn.getPresenceStatus({ usernames: [ada.id] })).result[0].ext, 'é'.repeat(512));
});

proves('unsubscribePresence', 'who is no subscriber any more hears nothing', async (t) => {
  const { ada, watcher } = await watching(t);
  const eve = await stoa.person('eve');
  await watcher.conn.subscribePresence({ usernames: [eve.id], expiry: HOUR });
  assert.equal(await watcher.conn.unsubscribePresence({ usernames: [ada.id] }), undefined);
  const web = await ada.connect(t);
  await web.conn.publishPresence({ description: 'unheard' });
  const other = await eve.connect(t);
  await other.conn.publishPresence({ description: 'heard' });
  await watcher.next('onPresenceStatusChange', ([{ ext }]) => ext === 'heard');
  assert.ok(watcher.all('onPresenceStatusChange').every(([{ userId }]) => userId === eve.id));
});

proves(['getSubscribedPresencelist', 'getSubscribedPresenceList'], 'subscriptions are listed in pages, under both names', async (t) => {
  const people = await stoa.people('ada', 'bob', 'carol', 'dave');
  const watcher = await people[3].connect(t);
  const others = people.slice(0, 3).map(({ id }) => id);
  await watcher.conn.subscribePresence({ usernames: others, expiry: HOUR });
  const seen = [];
  for (const pageNum of [1, 2, 3]) {
    const { result } = await watcher.conn.getSubscribedPresencelist({ pageNum, pageSize: 2 });
    assert.equal(Number(result.totalnum), 3);
    seen.push(...result.sublist.map(({ uid }) => uid));
  }
  assert.deepEqual(seen.sort(), others.sort());
  const { result } = await watcher.conn.getSubscribedPresenceList({ pageNum: 1, pageSize: 20 });
  assert.deepEqual(result.sublist.map(({ uid }) => uid).sort(), others);
  assert.ok(result.sublist.every(({ expiry }) => Number(expiry) > Date.now() / 1000));
});

proves('subscribePresence', 'users do not subscribe to themselves or to nobody', async (t) => {
  const { bob, watcher } = await watching(t);
  await assert.rejects(watcher.conn.subscribePresence({ usernames: [bob.id], expiry: HOUR }), { type: 17 });
  await assert.rejects(watcher.conn.subscribePresence({ usernames: ['nobody-at-all'], expiry: HOUR }), { type: 204 });
});

proves(['publishPresence', 'subscribePresence', 'unsubscribePresence', 'getPresenceStatus', 'getSubscribedPresencelist'],
  'without presence in the app all is refused with 505', async (t) => {
    // On the node that changes the setting: the others hear of it some moments later.
    const [ada, bob] = await stoa.people('ada', 'bob');
    const client = await ada.connect(t);
    await stoa.rest.change(t, { presence: false });
    for (const call of [
      () => client.conn.publishPresence({ description: 'd' }),
      () => client.conn.subscribePresence({ usernames: [bob.id], expiry: HOUR }),
      () => client.conn.unsubscribePresence({ usernames: [bob.id] }),
      () => client.conn.getPresenceStatus({ usernames: [bob.id] }),
      () => client.conn.getSubscribedPresencelist({ pageNum: 1, pageSize: 20 }),
    ]) {
      await assert.rejects(call(), { type: 505 });
    }
  });
