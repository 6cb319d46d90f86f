// A backend that speaks HTTP/2 without TLS: it sends back what it gets, and tells its length in a trailer. Prints its port.
"use strict";

const http2 = require("node:http2");

const server = http2.createServer();
server.on("stream", (stream, headers) => {
  const parts = [];
  stream.on("data", (part) => parts.push(part));
  stream.on("end", () => {
    const body = Buffer.concat(parts);
    stream.respond({ ":status": 200, "x-user": headers["x-user-id"] }, { waitForTrailers: true });
    stream.on("wantTrailers", () => stream.sendTrailers({ "x-length": String(body.length) }));
    stream.end(body);
  });
});
server.listen(0, "127.0.0.1", () => console.log(server.address().port));
process.stdin.resume();
process.stdin.on("end", () => process.exit());
