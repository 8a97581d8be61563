'use strict';

const { until } = require('./wait');

// Rest calls one app's REST API on one node.
class Rest {
  #appToken;

  constructor(base, { appKey, clientId, clientSecret }) {
    this.base = base;
    this.root = `${base}/${appKey.replace('#', '/')}`;
    this.client = { client_id: clientId, client_secret: clientSecret };
  }

  // call resolves with {status, body} whatever the status is.
  async call(method, path, { token, body } = {}) {
    const headers = { 'Content-Type': 'application/json' };
    if (token) headers.Authorization = `Bearer ${token}`;
    const answer = await fetch(this.root + path, { method, headers, body: body && JSON.stringify(body) });
    const text = await answer.text();
    return { status: answer.status, body: text ? JSON.parse(text) : null };
  }

  // ok is call for what must succeed; it resolves with the body.
  async ok(method, path, options) {
    const { status, body } = await this.call(method, path, options);
    if (status !== 200) throw new Error(`${method} ${path}: ${status} ${JSON.stringify(body)}`);
    return body;
  }

  // admin is ok with an app token.
  async admin(method, path, body) {
    return this.ok(method, path, { token: await this.appToken(), body });
  }

  async appToken() {
    if (!this.#appToken) {
      const answer = await this.#token({ grant_type: 'client_credentials', ...this.client });
      this.#appToken = answer.access_token;
    }
    return this.#appToken;
  }

  async passwordToken(username, password, more = {}) {
    const answer = await this.#token({ grant_type: 'password', username, password, ...more });
    return answer.access_token;
  }

  // inheritToken makes a token for any user; the user is created if there is none.
  async inheritToken(username, more = {}) {
    const body = { grant_type: 'inherit', username, autoCreateUser: true, ...more };
    const answer = await this.#token(body, await this.appToken());
    return answer.access_token;
  }

  #token(body, token) {
    return this.ok('POST', '/token', { token, body });
  }

  createUser(username, password) {
    return this.ok('POST', '/users', { body: { username, password } });
  }

  settings(change) {
    return this.admin('PUT', '/settings', change);
  }

  // change sets settings of the app until the test ends.
  async change(t, settings) {
    const { data: before } = await this.admin('GET', '/settings');
    const undo = Object.fromEntries(Object.keys(settings).map((key) => [key, before[key]]));
    t.after(() => this.settings(undo));
    await this.settings(settings);
  }

  async resources(user) {
    const { data } = await this.admin('GET', `/users/${user}/resources`);
    return data.map((device) => device.res);
  }

  // gone resolves when the server has noticed that the device left.
  gone(user, resource) {
    return until(async () => !(await this.resources(user)).includes(resource), `${user}/${resource} offline`);
  }

  // expired resolves when the server no longer takes the user's token. It does not ask token/expires, which is how a
  // client renews.
  expired(user, token) {
    const ask = async () => (await this.call('GET', `/users/${user}/resources`, { token })).status === 401;
    return until(ask, `end of the token of ${user}`);
  }
}

module.exports = { Rest };
