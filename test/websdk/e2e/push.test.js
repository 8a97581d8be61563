'use strict';

const assert = require('node:assert/strict');
const { proves } = require('../lib/parity');
const { world } = require('../lib/world');

const stoa = world();

const MINUTE = 60_000;
const remind = (remindType) => ({ paramType: 0, remindType });
const silence = (duration) => ({ paramType: 1, duration });

// Two devices of one user, and the id of another user.
async function devices(t) {
  const [ada, bob] = await stoa.people('ada', 'bob');
  return { ada, bob: bob.id, first: await ada.connect(t), second: await ada.connect(t) };
}

function near(time, expected) {
  assert.ok(Math.abs(time - expected) < MINUTE / 2, `${time} is not about ${expected}`);
}

proves(['setSilentModeForAll', 'getSilentModeForAll'], 'what is set for all is told to the other devices', async (t) => {
  const { ada, first, second } = await devices(t);
  assert.deepEqual((await first.conn.getSilentModeForAll()).data, { type: 'ALL' });
  const set = await first.conn.setSilentModeForAll({ options: remind('NONE') });
  assert.deepEqual(set.data, { type: 'NONE' });
  const event = await second.next('onMultiDeviceEvent');
  assert.deepEqual([event.operation, event.resource, event.data.type], ['setSilentModeForUser', first.resource, 'NONE']);

  await first.conn.setSilentModeForAll({ options: silence(5 * MINUTE) });
  near((await second.next('onMultiDeviceEvent')).data.ignoreDuration, Date.now() + 5 * MINUTE);
  const interval = { paramType: 2, startTime: { hours: 8, minutes: 5 }, endTime: { hours: 9, minutes: 30 } };
  await first.conn.setSilentModeForAll({ options: interval });
  assert.equal((await second.next('onMultiDeviceEvent')).data.ignoreInterval, '8:5-9:30');
  const { data } = await second.conn.getSilentModeForAll();
  assert.deepEqual([data.type, data.ignoreInterval], ['NONE', '8:5-9:30']);
  near(data.ignoreDuration, Date.now() + 5 * MINUTE);

  // A device that was away learns of it, too; the one that did it does not.
  const third = await ada.connect(t);
  await first.conn.setSilentModeForAll({ options: remind('AT') });
  await third.next('onMultiDeviceEvent', ({ data: { type } }) => type === 'AT');
  assert.deepEqual(first.all('onMultiDeviceEvent'), []);
});

for (const [type, id] of [['singleChat', undefined], ['groupChat', '261234567890001']]) {
  proves(['setSilentModeForConversation', 'getSilentModeForConversation', 'clearRemindTypeForConversation'], `a ${type} is made silent and loud again`, async (t) => {
    const { bob, first, second } = await devices(t);
    const conversation = { conversationId: id ?? bob, type };
    assert.deepEqual((await first.conn.getSilentModeForConversation(conversation)).data, {});
    await first.conn.setSilentModeForConversation({ ...conversation, options: remind('AT') });
    const event = await second.next('onMultiDeviceEvent');
    assert.deepEqual(
      [event.operation, event.conversationId, event.type, event.data],
      ['setSilentModeForConversation', conversation.conversationId, type, { type: 'AT' }],
    );
    await first.conn.setSilentModeForConversation({ ...conversation, options: silence(MINUTE) });
    near((await second.next('onMultiDeviceEvent')).data.ignoreDuration, Date.now() + MINUTE);
    const { data } = await second.conn.getSilentModeForConversation(conversation);
    assert.equal(data.type, 'AT');
    near(data.ignoreDuration, Date.now() + MINUTE);

    const cleared = await second.conn.clearRemindTypeForConversation(conversation);
    assert.equal(cleared.data.type, undefined);
    const removed = await first.next('onMultiDeviceEvent');
    assert.deepEqual([removed.operation, removed.conversationId], ['removeSilentModeForConversation', conversation.conversationId]);
    assert.equal((await first.conn.getSilentModeForConversation(conversation)).data.type, undefined);
  });
}

proves('getSilentModeForConversations', 'settings of several conversations are read at once', async (t) => {
  const { bob, first, second } = await devices(t);
  const group = '261234567890002';
  await first.conn.setSilentModeForConversation({ conversationId: bob, type: 'singleChat', options: remind('NONE') });
  await first.conn.setSilentModeForConversation({ conversationId: group, type: 'groupChat', options: remind('AT') });
  const { data } = await second.conn.getSilentModeForConversations({
    conversationList: [{ id: bob, type: 'singleChat' }, { id: group, type: 'groupChat' }, { id: '261234567890003', type: 'groupChat' }],
  });
  assert.deepEqual(data, { user: { [bob]: { type: 'NONE' } }, group: { [group]: { type: 'AT' } } });
});

proves('getSilentModeRemindTypeConversations', 'conversations with a type are listed in pages', async (t) => {
  const { bob, first, second } = await devices(t);
  const wanted = [{ conversationId: bob, type: 'singleChat', remindType: 'NONE' }];
  await first.conn.setSilentModeForConversation({ conversationId: bob, type: 'singleChat', options: remind('NONE') });
  for (const group of ['261234567890004', '261234567890005']) {
    await first.conn.setSilentModeForConversation({ conversationId: group, type: 'groupChat', options: remind('AT') });
    wanted.push({ conversationId: group, type: 'groupChat', remindType: 'AT' });
  }
  const page = (await second.conn.getSilentModeRemindTypeConversations({ pageSize: 2 })).data;
  assert.deepEqual(page.conversations, wanted.slice(0, 2));
  assert.ok(page.cursor);
  const rest = (await second.conn.getSilentModeRemindTypeConversations({ pageSize: 2, cursor: page.cursor })).data;
  assert.deepEqual(rest.conversations, wanted.slice(2));
  assert.ok(!rest.cursor, `cursor ${rest.cursor} behind the last page`);
});

proves(['setPushPerformLanguage', 'getPushPerformLanguage'], 'the language of notifications is kept', async (t) => {
  const { first, second } = await devices(t);
  assert.equal((await first.conn.setPushPerformLanguage({ language: 'fr' })).data.language, 'fr');
  assert.equal((await second.conn.getPushPerformLanguage()).data.language, 'fr');
});

const bindings = (person) => person.rest.admin('GET', `/users/${person.id}/push/binding`).then(({ data }) => data);

for (const name of ['uploadPushToken', 'uploadToken']) {
  proves([name, 'unbindPushToken'], `a push token is bound by ${name}, and unbound`, async (t) => {
    const { ada, first } = await devices(t);
    const mine = { device_id: first.resource, device_token: `token of ${ada.id}`, notifier_name: 'FCM1' };
    const { data } = await first.conn[name]({ deviceId: mine.device_id, deviceToken: mine.device_token, notifierName: mine.notifier_name });
    assert.equal(data.username, ada.id);
    assert.deepEqual(data.pushInfo, [mine]);
    assert.deepEqual(await bindings(ada), [mine]);
    await first.conn.unbindPushToken();
    assert.deepEqual(await bindings(ada), []);
  });
}

proves(['setSilentModeForAll', 'setPushPerformLanguage'], 'without push in the app both are refused with 505', async (t) => {
  const { first } = await devices(t);
  await stoa.rest.change(t, { push: false });
  await assert.rejects(first.conn.setSilentModeForAll({ options: remind('NONE') }), { type: 505 });
  await assert.rejects(first.conn.setPushPerformLanguage({ language: 'fr' }), { type: 505 });
});
