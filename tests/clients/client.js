// Node: the https module with the .p12 file, twice, the second time with the session of the first; then http2.
// client.js CA P12 PASSWORD HOST PORT PATH; each prints `STATUS VERSION new|resumed` and the body.
'use strict';
const fs = require('node:fs');
const http2 = require('node:http2');
const https = require('node:https');
const tls = require('node:tls');

const [ca, p12, passphrase, host, port, path] = process.argv.slice(2);
const credentials = { ca: fs.readFileSync(ca), pfx: fs.readFileSync(p12), passphrase };
const lookup = (_, options, done) =>
  options.all ? done(null, [{ address: '127.0.0.1', family: 4 }]) : done(null, '127.0.0.1', 4);

function text(stream) {
  return new Promise((resolve, reject) => {
    let body = '';
    stream.setEncoding('utf8').on('data', (part) => { body += part; }).on('end', () => resolve(body)).on('error', reject);
  });
}

function overHttps(session) {
  return new Promise((resolve, reject) => {
    let ticket;
    https.get({ ...credentials, host, port, path, lookup, session, agent: false }, async (response) => {
      const { socket } = response;
      const line = `${response.statusCode} ${socket.getProtocol()} ${socket.isSessionReused() ? 'resumed' : 'new'}`;
      console.log(`${line}\n${(await text(response)).trim()}`);
      resolve(ticket);
    }).on('socket', (socket) => socket.on('session', (data) => { ticket = data; })).on('error', reject);
  });
}

async function overHttp2() {
  const createConnection = () => tls.connect({ ...credentials, host, servername: host, port, lookup, ALPNProtocols: ['h2'] });
  const session = http2.connect(`https://${host}:${port}`, { createConnection });
  const request = session.request({ ':path': path });
  const headers = await new Promise((resolve, reject) => {
    request.on('response', resolve).on('error', reject);
    session.on('error', reject);
  });
  console.log(`${headers[':status']} ${session.alpnProtocol} new\n${(await text(request)).trim()}`);
  session.close();
}

overHttps().then(overHttps).then(overHttp2).catch((error) => {
  console.error(error);
  process.exitCode = 1;
});
