'use strict';

const assert = require('node:assert/strict');
const { test } = require('node:test');
const { GROUP, ROOM, clientOf, clients, found } = require('../lib/places');
const { proves } = require('../lib/parity');
const { world } = require('../lib/world');

const stoa = world();

// said sends a text in a one-to-one chat or a group and resolves with its id when all have it.
async function said(place, by, others, msg = 'hello') {
  const { serverMsgId } = place ? await place.say(by, msg) : await by.text(others[0].user, msg);
  for (const other of others) assert.equal((await other.nextText(msg)).id, serverMsgId);
  return serverMsgId;
}

// change resolves with the next change of a reaction that a client is told of.
async function change(client, messageId) {
  const event = await client.next('onReactionChange', (e) => e.messageId === messageId);
  const [{ reaction, count, userList, isAddedBySelf, op }, ...rest] = event.reactions;
  assert.deepEqual(rest, []);
  return { ...event, reactions: undefined, reaction, count, userList, isAddedBySelf, op };
}

for (const [kind, make] of Object.entries({ 'a one-to-one chat': () => null, 'a group': (people) => found(GROUP, stoa.rest, people) })) {
  const chatType = kind === 'a group' ? 'groupChat' : 'singleChat';

  proves(['addReaction', 'deleteReaction'], `a reaction in ${kind} is told to all, each in its own way`, async (t) => {
    const [alice, bob] = await clients(t, stoa, 'alice', 'bob');
    const tablet = await clientOf(t, bob.person);
    const place = await make([alice, bob]);
    const id = await said(place, alice, [bob, tablet]);
    await bob.conn.addReaction({ messageId: id, reaction: '👍' });
    for (const client of [alice, bob, tablet]) {
      const { ts, ...event } = await change(client, id);
      assert.ok(ts > 0);
      assert.deepEqual(event, {
        from: alice.user, to: place?.target ?? bob.user, chatType, messageId: id, reactions: undefined,
        reaction: '👍', count: 1, userList: [bob.user], isAddedBySelf: client !== alice, op: [{ operator: bob.user, reactionType: 'create' }],
      });
    }
    await alice.conn.addReaction({ messageId: id, reaction: '👍' });
    for (const client of [alice, bob, tablet]) {
      const { count, userList, isAddedBySelf } = await change(client, id);
      assert.deepEqual([count, userList, isAddedBySelf], [2, [bob.user, alice.user], true]);
    }
    await bob.conn.deleteReaction({ messageId: id, reaction: '👍' });
    for (const client of [alice, bob, tablet]) {
      const { count, userList, isAddedBySelf, op } = await change(client, id);
      assert.deepEqual([count, userList, isAddedBySelf, op], [1, [alice.user], client === alice, [{ operator: bob.user, reactionType: 'delete' }]]);
    }
    await alice.conn.deleteReaction({ messageId: id, reaction: '👍' });
    assert.deepEqual((({ count, userList }) => [count, userList])(await change(bob, id)), [0, []]);
  });

  for (const list of ['getReactionlist', 'getReactionList']) {
    proves(list, `${list} shows the reactions of ${kind}`, async (t) => {
      const [alice, bob] = await clients(t, stoa, 'alice', 'bob');
      const place = await make([alice, bob]);
      const [first, second] = [await said(place, alice, [bob], 'one'), await said(place, alice, [bob], 'two')];
      for (const reaction of ['👍', 'ok']) await bob.conn.addReaction({ messageId: first, reaction });
      await alice.conn.addReaction({ messageId: first, reaction: 'ok' });
      const { data } = await alice.conn[list]({ chatType, messageId: [first, second], groupId: place?.target });
      const seen = data.map(({ msgId, reactionList }) => [msgId, reactionList.map((r) => [r.reaction, r.userCount, r.isAddedBySelf, r.userList])]);
      assert.deepEqual(seen, [
        [first, [['👍', 1, false, [bob.user]], ['ok', 2, true, [bob.user, alice.user]]]],
        [second, []],
      ]);
    });
  }
}

proves('getReactionDetail', 'all who have added a reaction are read page by page', async (t) => {
  const people = await clients(t, stoa, 'alice', 'bob', 'carol', 'dave', 'eve');
  const [alice, ...others] = people;
  const place = await found(GROUP, stoa.rest, people);
  const id = await said(place, alice, others);
  for (const client of others) await client.conn.addReaction({ messageId: id, reaction: 'ok' });
  const page = async (cursor) => (await alice.conn.getReactionDetail({ messageId: id, reaction: 'ok', pageSize: 3, cursor })).data;
  const first = await page();
  assert.deepEqual([first.reaction, first.userCount, first.isAddedBySelf, first.userList], ['ok', 4, false, others.slice(0, 3).map(({ user }) => user)]);
  const second = await page(first.cursor);
  assert.deepEqual([second.userList, second.cursor], [[others[3].user], '']);
  const { data } = await alice.conn.getReactionlist({ chatType: 'groupChat', messageId: id, groupId: place.target });
  assert.equal(data[0].reactionList[0].userList.length, 3);
});

test('who was away is told of reactions at login, and history shows them', async (t) => {
  const [alice, bob] = await clients(t, stoa, 'alice', 'bob');
  const id = await said(null, alice, [bob]);
  bob.close();
  await bob.person.rest.gone(bob.user, bob.resource);
  await alice.conn.addReaction({ messageId: id, reaction: '☃' });
  const back = await bob.person.connect(t);
  assert.deepEqual((({ reaction, isAddedBySelf }) => [reaction, isAddedBySelf])(await change(back, id)), ['☃', false]);
  for (const [client, other, mine] of [[alice, bob, true], [back, alice, false]]) {
    const { messages } = await client.conn.getHistoryMessages({ targetId: other.person.id, chatType: 'singleChat' });
    assert.deepEqual(messages[0].reactions, [{ reaction: '☃', count: 1, userList: [alice.user], isAddedBySelf: mine }]);
  }
});

test('reactions are refused with their codes', async (t) => {
  const [alice, bob, carol] = await clients(t, stoa, 'alice', 'bob', 'carol');
  const id = await said(null, alice, [bob]);
  const react = (client, messageId, reaction = 'ok') => client.conn.addReaction({ messageId, reaction });
  await react(bob, id);
  await assert.rejects(react(bob, id), { type: 1101 });
  await assert.rejects(react(carol, id), { type: 1103 });
  await assert.rejects(alice.conn.deleteReaction({ messageId: id, reaction: 'ok' }), { type: 1103 });
  await assert.rejects(react(bob, '77'), { type: 51 });
  await assert.rejects(react(bob, id, 'x'.repeat(129)), { type: 50 });
  for (let i = 0; i < 19; i++) await react(alice, id, `kind ${i}`);
  await assert.rejects(react(alice, id, 'one more'), { type: 50 });

  const group = await found(GROUP, stoa.rest, [alice, bob]);
  const inGroup = await said(group, alice, [bob]);
  await assert.rejects(react(carol, inGroup), { type: 602 });
  await assert.rejects(carol.conn.getReactionlist({ chatType: 'groupChat', messageId: inGroup, groupId: group.target }), { type: 602 });
  await assert.rejects(bob.conn.getReactionlist({ chatType: 'groupChat', messageId: inGroup, groupId: '123456' }), { type: 605 });
  const room = await found(ROOM, stoa.rest, [alice]);
  const { serverMsgId } = await room.say(alice, 'in the room');
  await assert.rejects(react(alice, serverMsgId), { type: 1103 });

  await alice.conn.recallMessage({ mid: id, to: bob.user, chatType: 'singleChat' });
  await assert.rejects(react(bob, id, 'late'), { type: 51 });
  await stoa.rest.change(t, { reactions: false });
  await assert.rejects(react(alice, inGroup), { type: 505 });
  await assert.rejects(alice.conn.getReactionDetail({ messageId: inGroup, reaction: 'ok' }), { type: 505 });
});
