// Node's https module, told by lines of input where to go and with which session.
//
// resume.js CA CERTIFICATE KEY VERSION PATH; a line is `PORT HOST keep` or `PORT HOST offer`: without a session, whose own
// is kept, or with the one that is kept. Each prints `STATUS VERSION new|resumed` and the body, on one line.
'use strict';
const fs = require('node:fs');
const https = require('node:https');
const readline = require('node:readline');

const [ca, cert, key, version, path] = process.argv.slice(2);
const credentials = { ca: fs.readFileSync(ca), cert: fs.readFileSync(cert), key: fs.readFileSync(key) };
const versions = { minVersion: `TLSv${version}`, maxVersion: `TLSv${version}` };
const lookup = (_, options, done) =>
  options.all ? done(null, [{ address: '127.0.0.1', family: 4 }]) : done(null, '127.0.0.1', 4);
let kept;

function go(port, host, what) {
  const session = what === 'offer' ? kept : undefined;
  const headers = { host, accept: 'application/json' };
  const options = { ...credentials, ...versions, host, servername: host, port, path, lookup, headers, session, agent: false };
  return new Promise((resolve, reject) => {
    let latest;
    https.get(options, (response) => {
      const { socket } = response;
      const how = socket.isSessionReused() ? 'resumed' : 'new';
      const protocol = socket.getProtocol();
      let body = '';
      response.setEncoding('utf8').on('data', (part) => { body += part; }).on('error', reject).on('end', () => {
        console.log(`${response.statusCode} ${protocol} ${how} ${body.trim()}`);
        if (what === 'keep') kept = latest;
        resolve();
      });
    }).on('socket', (socket) => socket.on('session', (data) => { latest = data; })).on('error', reject);
  });
}

(async () => {
  for await (const line of readline.createInterface({ input: process.stdin })) {
    await go(...line.split(' '));
  }
})().catch((error) => {
  console.error(error);
  process.exitCode = 1;
});
