'use strict';

// XMLHttpRequest over fetch: the part of it that the SDKs use.
//
// Listeners run outside of the promise chain of the request, as in a browser: what they throw is an uncaught exception
// and not a failed request.

class XMLHttpRequest extends EventTarget {
  static DONE = 4;

  readyState = 0;
  status = 0;
  statusText = '';
  response = null;
  responseText = '';
  responseType = '';
  responseURL = '';
  timeout = 0;
  withCredentials = false;
  upload = new EventTarget();

  #request = null;
  #headers = new Headers();
  #answerHeaders = new Headers();
  #abort = new AbortController();

  open(method, url) {
    this.#request = { method, url: String(url) };
    this.#enter(1);
  }

  setRequestHeader(name, value) {
    this.#headers.append(name, value);
  }

  getResponseHeader(name) {
    return this.#answerHeaders.get(name);
  }

  getAllResponseHeaders() {
    return [...this.#answerHeaders].map(([name, value]) => `${name}: ${value}\r\n`).join('');
  }

  send(body = null) {
    const timer = this.timeout > 0 && setTimeout(() => this.#abort.abort('timeout'), this.timeout);
    this.#fetch(body)
      .then(
        () => () => this.#succeed(),
        () => () => this.#fail(),
      )
      .then((settle) => {
        clearTimeout(timer);
        setImmediate(settle);
      });
  }

  abort() {
    this.#abort.abort('abort');
  }

  async #fetch(body) {
    const { method, url } = this.#request;
    const hasBody = body !== null && body !== undefined && method !== 'GET' && method !== 'HEAD';
    const answer = await fetch(url, {
      method,
      headers: this.#headers,
      body: hasBody ? body : undefined,
      signal: this.#abort.signal,
    });
    this.status = answer.status;
    this.statusText = answer.statusText;
    this.responseURL = answer.url;
    this.#answerHeaders = answer.headers;
    switch (this.responseType) {
      case 'blob':
        this.response = await answer.blob();
        break;
      case 'arraybuffer':
        this.response = await answer.arrayBuffer();
        break;
      case 'json':
        this.response = await answer.json();
        break;
      default:
        this.responseText = await answer.text();
        this.response = this.responseText;
    }
  }

  #succeed() {
    this.upload.dispatchEvent(new Event('load'));
    this.#enter(2);
    this.#enter(4);
    this.#fire('load');
    this.#fire('loadend');
  }

  #fail() {
    this.status = 0;
    this.#enter(4);
    this.#fire(this.#abort.signal.aborted ? this.#abort.signal.reason : 'error');
    this.#fire('loadend');
  }

  #enter(state) {
    this.readyState = state;
    this.#fire('readystatechange');
  }

  #fire(type) {
    const event = new Event(type);
    this[`on${type}`]?.(event);
    this.dispatchEvent(event);
  }
}

module.exports = { XMLHttpRequest };
