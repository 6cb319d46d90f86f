// MDN's HTTP Observatory on a page of this machine: `node observatory.mjs FOLDER HOST:PORT/PATH`. Prints grade and tests.
// FOLDER is the package's. All names lead to this machine; whom to trust says NODE_EXTRA_CA_CERTS.
import dns from "node:dns";
import fs from "node:fs";
import path from "node:path";
import { pathToFileURL } from "node:url";

dns.lookup = (_name, options, callback) => {
  const answer = { address: "127.0.0.1", family: 4 };
  const done = callback ?? options;
  process.nextTick(() => (options.all ? done(null, [answer]) : done(null, answer.address, answer.family)));
};

const [folder, page] = process.argv.slice(2);
// Browsers' list of preloaded hosts isn't in the package, and no host of a test is on it.
const preloaded = path.join(folder, "conf/hsts-preload.json");
if (!fs.existsSync(preloaded)) fs.writeFileSync(preloaded, "{}");
const { scan } = await import(pathToFileURL(path.join(folder, "src/scanner/index.js")));
const { scan: { grade, score, statusCode }, tests } = await scan(page);
const results = Object.fromEntries(
  Object.entries(tests).map(([name, { pass, result, scoreModifier }]) => [name, { pass, result, scoreModifier }]),
);
console.log(JSON.stringify({ grade, score, statusCode, results }));
