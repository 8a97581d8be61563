'use strict';

const { within } = require('./wait');

// download resolves with the bytes of an attachment, or rejects with what the SDK reports.
function download(client, { url, secret, headers }) {
  const answer = new Promise((resolve, reject) => {
    client.sdk.utils.download.call(client.conn, {
      url,
      secret,
      headers,
      accessToken: client.conn.token,
      onFileDownloadComplete: (blob) => resolve(blob.arrayBuffer().then(Buffer.from)),
      onFileDownloadError: reject,
    });
  });
  return within(answer, `download of ${url}`);
}

module.exports = { download };
