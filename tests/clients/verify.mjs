// Drives the verifier of docs/backends.md: `ASSERTION METHOD URL` a line in, `good SUBJECT` or `refused WHY` a line out.
import { createInterface } from "node:readline";

const [folder, ...settings] = process.argv.slice(2);
const { Refused, Verifier } = await import(`${folder}/verifier.mjs`);
const verifier = new Verifier(...settings, 0);
for await (const line of createInterface({ input: process.stdin })) {
  try {
    console.log("good", (await verifier.verify(...line.split("\t"))).sub);
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    console.log("refused", error.message);
  }
}
