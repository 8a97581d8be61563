'use strict';

const assert = require('node:assert/strict');
const zlib = require('node:zlib');
const { AccessToken2, ServiceRtc } = require('agora-token/src/AccessToken2');
const { proves } = require('../lib/parity');
const { world } = require('../lib/world');

const stoa = world();

// One user's client and another's.
async function pair(t) {
  const [ada, bob] = await stoa.people('ada', 'bob');
  return { ada, bob, from: await ada.connect(t), to: await bob.connect(t) };
}

const everything = {
  nickname: 'Ada L. & co',
  avatarurl: 'https://example.org/a.png?b=c&d=%20',
  mail: 'ada@example.org',
  phone: '+44 20',
  gender: '2',
  sign: '100 % ☃ \u{1F600}',
  birth: '1815-12-10',
  ext: '{"a":"b=c"}',
};

proves(['updateUserInfo', 'fetchUserInfoById'], 'attributes that one user sets are read by another', async (t) => {
  const { ada, bob, from, to } = await pair(t);
  const { data } = await from.conn.updateUserInfo(everything);
  assert.deepEqual(data, everything);
  const answer = await to.conn.fetchUserInfoById([ada.id, bob.id, 'nobody-at-all']);
  assert.deepEqual(answer.data[ada.id], everything);
  assert.deepEqual(answer.data[bob.id], {});

  await from.conn.updateUserInfo('phone', '+49 30');
  await from.conn.updateUserInfo({ mail: '' });
  const some = await to.conn.fetchUserInfoById(ada.id, ['phone', 'mail']);
  assert.deepEqual(some.data[ada.id], { phone: '+49 30', mail: '' });
});

proves('updateOwnUserInfo', 'the older name sets attributes, too', async (t) => {
  const { ada, from, to } = await pair(t);
  await from.conn.updateOwnUserInfo({ nickname: 'Countess' });
  await from.conn.updateOwnUserInfo('sign', 'poetical science');
  const { data } = await to.conn.fetchUserInfoById(ada.id, 'sign');
  assert.deepEqual(data[ada.id], { sign: 'poetical science' });
  assert.equal((await to.conn.fetchUserInfoById(ada.id)).data[ada.id].nickname, 'Countess');
});

proves('updateUserInfo', 'attributes above two kilobytes are refused and change nothing', async (t) => {
  const { ada, from, to } = await pair(t);
  await from.conn.updateUserInfo({ ext: 'e'.repeat(2045) });
  await assert.rejects(from.conn.updateUserInfo({ ext: 'e'.repeat(2046) }), { type: 17 });
  await assert.rejects(from.conn.updateUserInfo({ sign: '' }), { type: 17 });
  const { data } = await to.conn.fetchUserInfoById(ada.id);
  assert.deepEqual(data[ada.id], { ext: 'e'.repeat(2045) });
});

proves(['updateUserInfo', 'fetchUserInfoById'], 'without attributes in the app both are refused with 505', async (t) => {
  const { ada, from } = await pair(t);
  await stoa.rest.change(t, { user_attributes: false });
  await assert.rejects(from.conn.updateUserInfo({ sign: 's' }), { type: 505 });
  await assert.rejects(from.conn.fetchUserInfoById(ada.id), { type: 505 });
});

proves('updateCurrentUserNick', 'the name for notifications is set', async (t) => {
  const { ada, from } = await pair(t);
  const { entities } = await from.conn.updateCurrentUserNick('Ada ☃');
  assert.deepEqual([entities[0].username, entities[0].nickname], [ada.id, 'Ada ☃']);
  const stored = await ada.rest.admin('GET', `/users/${ada.id}`);
  assert.equal(stored.entities[0].nickname, 'Ada ☃');
});

proves(['getRTCToken', 'getUserIdByRTCUIds'], 'a token for calls is one of the vendor\'s, and its number leads back', async (t) => {
  const { ada, bob, from, to } = await pair(t);
  const { data: mine } = await from.conn.getRTCToken('chan1');
  assert.deepEqual([mine.appId, mine.channelName, mine.expire], [stoa.appId, 'chan1', 3600]);

  // Signing what the vendor's package reads in it gives the same signature.
  const token = new AccessToken2('', '', 0, 0);
  assert.ok(token.from_string(mine.RTCToken));
  const [rtc] = token.getServices(1);
  assert.ok(rtc instanceof ServiceRtc);
  assert.deepEqual([String(rtc.__channel_name), String(rtc.__uid)], ['chan1', String(mine.RTCUId)]);
  assert.deepEqual(rtc.__privileges, { 1: 3600, 2: 3600, 3: 3600, 4: 3600 });
  const copy = new AccessToken2(stoa.appId, stoa.certificate, token.issueTs, token.expire);
  copy.salt = token.salt;
  copy.add_service(rtc);
  assert.deepEqual(unpacked(copy.build()), unpacked(mine.RTCToken));

  const { data: any } = await from.conn.getRTCToken();
  const { data: other } = await to.conn.getRTCToken('chan1');
  assert.deepEqual([any.channelName, any.RTCUId], ['*', mine.RTCUId]);
  const { data: names } = await to.conn.getUserIdByRTCUIds([mine.RTCUId, other.RTCUId, 4294967295]);
  assert.deepEqual(names, { [mine.RTCUId]: ada.id, [other.RTCUId]: bob.id });
});

// unpacked is what a token holds; its text depends on how it was compressed.
function unpacked(token) {
  return zlib.inflateSync(Buffer.from(token.slice(3), 'base64')).toString('hex');
}
