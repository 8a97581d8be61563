'use strict';

const assert = require('node:assert/strict');
const { proves } = require('../lib/parity');
const { Proxy } = require('../lib/proxy');
const { world } = require('../lib/world');

const stoa = world();

proves('addEventHandler', 'handlers under several names are all told, and a name that is used again is that of the new one', async (t) => {
  const [alice, bob] = await stoa.people('alice', 'bob');
  const from = await alice.connect(t);
  const to = await bob.connect(t);
  const heard = [];
  to.conn.addEventHandler('first', { onTextMessage: ({ msg }) => heard.push(`first ${msg}`) });
  to.conn.addEventHandler('second', { onTextMessage: ({ msg }) => heard.push(`second ${msg}`) });
  await from.text(bob.id, 'one');
  await to.nextText('one');
  to.conn.addEventHandler('second', { onTextMessage: ({ msg }) => heard.push(`new ${msg}`) });
  await from.text(bob.id, 'two');
  await to.nextText('two');
  assert.deepEqual(heard.sort(), ['first one', 'first two', 'new two', 'second one']);
});

proves('removeEventHandler', 'a handler that was removed is told no more', async (t) => {
  const [alice, bob] = await stoa.people('alice', 'bob');
  const from = await alice.connect(t);
  const to = await bob.connect(t);
  const heard = [];
  to.conn.addEventHandler('mine', { onTextMessage: ({ msg }) => heard.push(msg) });
  await from.text(bob.id, 'one');
  await to.nextText('one');
  to.conn.removeEventHandler('mine');
  await from.text(bob.id, 'two');
  await to.nextText('two');
  assert.deepEqual(heard, ['one']);
});

proves('listen', 'the older way of listening hears opening, messages and closing', async (t) => {
  const [alice, bob] = await stoa.people('alice', 'bob');
  const from = await alice.connect(t);
  const to = bob.device(t);
  const heard = [];
  to.conn.listen({
    onOpened: () => heard.push('opened'),
    onTextMessage: ({ data }) => heard.push(`text ${data}`),
    onClosed: () => heard.push('closed'),
  });
  await to.open({ user: bob.id, accessToken: bob.token });
  await from.text(bob.id, 'hello');
  await to.nextText('hello');
  to.close();
  await to.next('onDisconnected');
  assert.deepEqual(heard, ['opened', 'text hello', 'closed']);
});

proves('onShow', 'an app that comes to the front finds out that its connection has died, and comes back', async (t) => {
  const [alice, bob] = await stoa.people('alice', 'bob');
  const proxy = await Proxy.start(t, bob.base);
  const from = await alice.connect(t);
  const to = await bob.connect(t, { base: proxy.base });
  to.conn.lastHeartbeat = 0; // as after a while without a word from the server; the client looks only then

  // While the connection lives nothing happens.
  to.conn.onShow();
  await from.text(bob.id, 'one');
  await to.nextText('one');
  assert.deepEqual(to.all('onReconnecting'), []);

  proxy.loseDown();
  await from.text(bob.id, 'two');
  to.conn.lastHeartbeat = 0;
  to.conn.onShow();
  await to.next('onReconnecting', undefined, 20_000);
  proxy.cut();
  await to.nextText('two', 20_000);
  assert.deepEqual(to.texts(), ['one', 'two']);
});
