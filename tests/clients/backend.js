// Node: an http server that says what it understood of each request, on a line of its own and to whoever asked.
// backend.js; prints `PORT`, then a line of JSON for each request. Ends with its input.
'use strict';
const http = require('node:http');

const server = http.createServer((request, response) => {
  const parts = [];
  request.on('error', () => {});
  request.on('data', (part) => parts.push(part));
  request.on('end', () => {
    const { method, url, headers } = request;
    const body = Buffer.concat(parts).toString('latin1');
    const understood = JSON.stringify({
      id: headers['x-request-id'], method, target: url, host: headers.host,
      contract: headers['x-contract-id'], user: headers['x-user-id'], body,
    });
    process.stdout.write(`${understood}\n`);
    response.end(understood);
  });
});
server.listen(0, '127.0.0.1', () => process.stdout.write(`${server.address().port}\n`));
process.stdin.resume().on('end', () => process.exit());
