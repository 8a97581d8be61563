'use strict';

// Groups and chatrooms have most calls in common; they differ in the words. A Place is one of either.

const GROUP = {
  kind: 'group',
  id: 'groupId', // what the SDK's calls name it
  textsId: 'groupId', // and those for announcements and files
  event: 'onGroupEvent',
  chatType: 'groupChat',
  path: '/chatgroups',
  form: ({ owner, name, members, ...more }) => ({ owner, groupname: name, members, public: true, ...more }),
  found: (data) => data.groupid,
};

const ROOM = {
  kind: 'room',
  id: 'chatRoomId',
  textsId: 'roomId',
  event: 'onChatroomEvent',
  chatType: 'chatRoom',
  path: '/chatrooms',
  form: ({ owner, name, ...more }) => ({ owner, name, description: 'a room', ...more }),
  found: (data) => data.id,
};

class Place {
  constructor(words, id) {
    Object.assign(this, words);
    this.target = id;
  }

  // ask calls a method of the SDK for this place.
  ask(client, method, args = {}) {
    return client.conn[method]({ [this.id]: this.target, ...args });
  }

  // texts is ask for the calls about announcements and files.
  texts(client, method, args = {}) {
    return client.conn[method]({ [this.textsId]: this.target, ...args });
  }

  // heard resolves with the next event of that operation about this place that `accept` likes.
  heard(client, operation, accept = () => true) {
    return client.next(this.event, (e) => e.operation === operation && e.id === this.target && accept(e));
  }

  // came and went resolve when the client has been told that these users have come or gone, together or one by one.
  came(client, ...users) {
    return this.#moved(client, 'Presence', users);
  }

  went(client, ...users) {
    return this.#moved(client, 'Absence', users);
  }

  async #moved(client, what, users) {
    const missing = new Set(users.map(({ user }) => user));
    while (missing.size > 0) {
      const told = ({ operation, from, members }) => (operation === `members${what}` ? members : operation === `member${what}` ? [from] : []);
      const event = await client.next(this.event, (e) => e.id === this.target && told(e).some((user) => missing.has(user)));
      for (const user of told(event)) missing.delete(user);
    }
  }

  say(client, msg, more = {}) {
    return client.send({ type: 'txt', chatType: this.chatType, to: this.target, msg, ...more });
  }

  // details resolves with what the backend is shown.
  async details(rest) {
    return (await rest.admin('GET', `${this.path}/${this.target}`)).data[0];
  }

  // roles resolves with `<role> <user>` of every member, in order of joining.
  async roles(rest) {
    return (await this.details(rest)).affiliations.map((row) => Object.entries(row)[0].join(' '));
  }
}

// found makes a place whose owner is the first of the clients, with the others in it. Those of a room are there with
// their sockets. `more` are further fields of the backend's call.
async function found(words, rest, [owner, ...others], more = {}) {
  const form = words.form({ owner: owner.user, name: `${words.kind} of ${owner.user}`, members: others.map((c) => c.user), ...more });
  const place = new Place(words, words.found((await rest.admin('POST', words.path, form)).data));
  if (words === ROOM) {
    for (const client of [owner, ...others]) await client.conn.joinChatRoom({ roomId: place.target });
  } else {
    for (const client of others) await place.heard(client, 'directJoined');
  }
  return place;
}

// clients signs in one client for each of the names.
async function clients(t, stoa, ...names) {
  const people = await stoa.people(...names);
  return Promise.all(people.map((person) => clientOf(t, person)));
}

// clientOf signs a person in on another device.
async function clientOf(t, person, options) {
  const client = await person.connect(t, options);
  client.user = person.id;
  client.person = person;
  return client;
}

module.exports = { GROUP, ROOM, Place, found, clients, clientOf };
