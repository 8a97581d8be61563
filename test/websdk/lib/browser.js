'use strict';

// What a browser gives the SDKs and Node does not. Requiring this file puts the globals in place; it must come before
// the first SDK. All SDKs of one process share them.

const WebSocket = require('ws');
const { XMLHttpRequest } = require('./xhr');

// The SDKs set no error handler: without a listener a refused connection would end the process.
class BrowserWebSocket extends WebSocket {
  constructor(url, protocols) {
    super(url, protocols);
    this.on('error', () => {});
  }
}

class Storage {
  #items = new Map();

  getItem(key) {
    return this.#items.get(key) ?? null;
  }

  setItem(key, value) {
    this.#items.set(key, String(value));
  }

  removeItem(key) {
    this.#items.delete(key);
  }
}

class FileReader extends EventTarget {
  result = null;

  readAsText(blob) {
    this.#read(blob.text());
  }

  readAsArrayBuffer(blob) {
    this.#read(blob.arrayBuffer());
  }

  #read(content) {
    content.then((result) => {
      this.result = result;
      for (const type of ['load', 'loadend']) {
        // As a listener, since the SDK looks at the event's target.
        if (this[`on${type}`]) this.addEventListener(type, this[`on${type}`], { once: true });
        this.dispatchEvent(new Event(type));
      }
    });
  }
}

function define(name, value) {
  Object.defineProperty(globalThis, name, { value, configurable: true, writable: true });
}

define('self', globalThis);
define('window', globalThis);
define('WebSocket', BrowserWebSocket);
define('XMLHttpRequest', XMLHttpRequest);
define('FileReader', FileReader);
define('localStorage', new Storage());
define('document', { addEventListener() {}, removeEventListener() {} });
define('navigator', { userAgent: 'node', onLine: true });
// No page events (online, offline, unload) happen here.
define('addEventListener', () => {});
define('removeEventListener', () => {});
define('location', new URL('http://localhost/'));
