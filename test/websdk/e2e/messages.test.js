'use strict';

// Messages of every kind, to users, groups and chatrooms, and what can happen to them there.

const assert = require('node:assert/strict');
const { test } = require('node:test');
const { GROUP, ROOM, clientOf, clients, found } = require('../lib/places');
const { proves } = require('../lib/parity');
const { refused } = require('../lib/refused');
const { world } = require('../lib/world');

const stoa = world();

// The kinds that need no upload, with what is to arrive, and where.
const KINDS = {
  txt: { event: 'onTextMessage', send: { msg: 'hello' } },
  cmd: { event: 'onCmdMessage', send: { action: 'ring' } },
  custom: { event: 'onCustomMessage', send: { customEvent: 'gift', customExts: { name: 'rose' } } },
  loc: { event: 'onLocationMessage', send: { addr: 'the stoa', buildingName: 'agora', lat: 37.97, lng: 23.72 } },
};

for (const [type, { event, send }] of Object.entries(KINDS)) {
  proves('send', `a message of type ${type} reaches a user, a group and a chatroom`, async (t) => {
    const [alice, bob] = await clients(t, stoa, 'alice', 'bob');
    const places = [await found(GROUP, stoa.rest, [alice, bob]), await found(ROOM, stoa.rest, [alice, bob])];
    const targets = [{ chatType: 'singleChat', to: bob.user }, ...places.map((p) => ({ chatType: p.chatType, to: p.target }))];
    for (const target of targets) {
      const sent = await alice.send({ type, ...target, ...send, ext: { n: 1 } });
      const message = await bob.next(event, (m) => m.id === sent.serverMsgId);
      assert.deepEqual([message.from, message.to, message.chatType], [alice.user, target.to, target.chatType]);
      for (const [key, value] of Object.entries(send)) assert.deepEqual(message[key], value, key);
      assert.deepEqual(message.ext, { n: 1 });
    }
    assert.equal(alice.all(event).length, 0);
  });
}

for (const words of [GROUP, ROOM]) {
  proves('send', `a message to some of a ${words.kind} reaches those and the sender's other devices`, async (t) => {
    const [alice, bob, carol, dave] = await clients(t, stoa, 'alice', 'bob', 'carol', 'dave');
    const place = await found(words, stoa.rest, [alice, bob, carol]);
    const laptop = await clientOf(t, alice.person);
    if (words === ROOM) await laptop.conn.joinChatRoom({ roomId: place.target });
    await place.say(alice, 'psst', { receiverList: [bob.user, dave.user] });
    await bob.nextText('psst');
    await laptop.nextText('psst');
    await place.say(alice, 'for all');
    await carol.nextText('for all');
    assert.deepEqual(carol.texts(), ['for all']);
    assert.deepEqual(dave.texts(), []);
    const many = Array.from({ length: 21 }, (_, i) => `user${i}`);
    assert.equal((await refused(place.say(alice, 'too many', { receiverList: many }))).type, 50);
    assert.equal((await refused(place.say(dave, 'a stranger', { receiverList: [bob.user] }))).type, 602);
  });

  proves('send', `a message that is for who is online in a ${words.kind} is not kept`, async (t) => {
    const [alice, bob] = await clients(t, stoa, 'alice', 'bob');
    const place = await found(words, stoa.rest, [alice, bob]);
    await place.say(alice, 'now or never', { deliverOnlineOnly: true });
    await bob.nextText('now or never');
    await place.say(alice, 'to stay');
    await bob.nextText('to stay');
    const { messages } = await bob.conn.getHistoryMessages({ targetId: place.target, chatType: place.chatType, pageSize: 10 });
    assert.deepEqual(messages.map((m) => m.msg), ['to stay']);
  });

  proves(['recallMessage', 'modifyMessage'], `messages of a ${words.kind} are edited and recalled, also by its owner`, async (t) => {
    const [alice, bob, carol] = await clients(t, stoa, 'alice', 'bob', 'carol');
    const place = await found(words, stoa.rest, [alice, bob, carol]);
    const { serverMsgId: id } = await place.say(bob, 'helo');
    await carol.nextText('helo');
    const edit = (client, msg) =>
      client.conn.modifyMessage({ messageId: id, modifiedMessage: client.message({ type: 'txt', chatType: place.chatType, to: place.target, msg }) });
    const recall = (client) => client.conn.recallMessage({ mid: id, to: place.target, chatType: place.chatType });
    assert.equal((await edit(bob, 'hello')).message.modifiedInfo.operationCount, 1);
    assert.equal((await edit(alice, 'hello!')).message.modifiedInfo.operatorId, alice.user);
    for (const [msg, operator] of [['hello', bob.user], ['hello!', alice.user]]) {
      const event = await carol.next('onModifiedMessage', (m) => m.msg === msg);
      assert.deepEqual([event.id, event.from, event.to, event.chatType], [id, bob.user, place.target, place.chatType]);
      assert.equal(event.modifiedInfo.operatorId, operator);
    }
    assert.equal((await refused(edit(carol, 'mine'))).type, 603);
    assert.equal((await refused(recall(carol))).type, 603);
    await recall(alice);
    for (const client of [bob, carol]) {
      const event = await client.next('onRecallMessage');
      assert.deepEqual([event.mid, event.from, event.to], [id, alice.user, place.target]);
    }
  });
}

test('a command waits in a group for a member who is away', async (t) => {
  const [alice, bob] = await clients(t, stoa, 'alice', 'bob');
  const place = await found(GROUP, stoa.rest, [alice, bob]);
  bob.close();
  await stoa.rest.gone(bob.user, bob.resource);
  await alice.send({ type: 'cmd', chatType: 'groupChat', to: place.target, action: 'ring' });
  const back = await bob.person.connect(t);
  assert.equal((await back.next('onCmdMessage')).action, 'ring');
});

proves('send', 'the priority of a message in a chatroom arrives', async (t) => {
  const [alice, bob] = await clients(t, stoa, 'alice', 'bob');
  const place = await found(ROOM, stoa.rest, [alice, bob]);
  for (const priority of ['high', 'normal', 'low']) {
    await place.say(alice, priority, { priority });
    const message = await bob.nextText(priority);
    assert.equal(message.priority, priority);
    assert.equal(message.broadcast, false);
  }
});

proves(['send', 'getGroupMsgReadUser'], 'the sender learns how many have read a message, and who', async (t) => {
  const [alice, bob, carol] = await clients(t, stoa, 'alice', 'bob', 'carol');
  const place = await found(GROUP, stoa.rest, [alice, bob, carol]);
  const { serverMsgId: id } = await place.say(alice, 'read this', { msgConfig: { allowGroupAck: true } });
  for (const [i, reader] of [bob, carol].entries()) {
    const message = await reader.nextText('read this');
    assert.equal(message.msgConfig.allowGroupAck, true);
    await reader.send({ type: 'read', chatType: 'groupChat', to: place.target, id: message.id, ackContent: 'seen', msgConfig: { allowGroupAck: true } });
    const receipt = await alice.next('onReadMessage');
    assert.equal(receipt.mid, id);
    assert.equal(receipt.ackContent, 'seen');
    assert.deepEqual(receipt.groupReadCount, { [id]: i + 1 });
  }
  const { data } = await alice.conn.getGroupMsgReadUser({ groupId: place.target, msgId: id });
  assert.deepEqual([data.ackmid, data.is_last, data.total, data.userlist], [id, true, 2, [bob.user, carol.user]]);
  await assert.rejects(bob.conn.getGroupMsgReadUser({ groupId: place.target, msgId: id }), { type: 603 });
  const plain = await place.say(alice, 'or not');
  const receipt = { type: 'read', chatType: 'groupChat', to: place.target, id: plain.serverMsgId, msgConfig: { allowGroupAck: true } };
  assert.equal((await refused(bob.send(receipt))).type, 503);
});
