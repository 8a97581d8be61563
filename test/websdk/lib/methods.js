'use strict';

// The public methods of agora-chat 1.4.0 by name, as docs/protocol/sdk-methods.json lists them.

const fs = require('node:fs');
const path = require('node:path');

const file = path.join(__dirname, '../../../docs/protocol/sdk-methods.json');
const methods = new Map(JSON.parse(fs.readFileSync(file, 'utf8')).map((method) => [method.method, method]));

module.exports = { methods };
