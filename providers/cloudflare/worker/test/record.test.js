import assert from "node:assert/strict";
import { test } from "node:test";

import { exitCode, platformRefusal } from "../src/platform.js";
import { bootFiles, highest, mayChange, owner } from "../src/record.js";

const OURS = { installation: "in-1", runtime: "rt-1", generation: 3 };

test("only its installation may change a runtime, with a generation that is not older", () => {
  const record = { owner: OURS };
  for (const generation of [undefined, 3, 4]) mayChange(record, { installation: "in-1", generation });
  assert.throws(() => mayChange(record, { installation: "in-1", generation: 2 }), { code: "fenced" });
  assert.throws(() => mayChange(record, { installation: "in-2", generation: 9 }), { code: "foreign_object" });
});

test("a fence that is lower than the highest before is refused, and who has none is not", () => {
  const record = { owner: OURS, fence: 5 };
  for (const fence of [undefined, null, 5, 6]) mayChange(record, { installation: "in-1", fence });
  assert.throws(() => mayChange(record, { installation: "in-1", fence: 4 }), { code: "fenced" });
  assert.throws(() => mayChange(record, { installation: "in-1", fence: "6" }), { code: "bad_request" });
  assert.deepEqual(highest(record, { fence: 4 }), { fence: 5 });
  assert.deepEqual(highest(record, { fence: 6 }), { fence: 6 });
  assert.deepEqual(highest(undefined, { fence: 1 }), { fence: 1 });
  assert.deepEqual(highest(undefined, { fence: null }), {});
});

test("a call without its labels, or with boot files that do not fit, is malformed", () => {
  assert.deepEqual(owner({ ...OURS, more: 1 }), OURS);
  assert.throws(() => owner({ ...OURS, generation: "3" }), { code: "bad_request" });
  assert.throws(() => bootFiles({ a: 1 }), { code: "bad_request" });
  assert.throws(() => bootFiles({ a: "x".repeat(130_000) }), { code: "bad_request" });
  assert.deepEqual(bootFiles(undefined), {});
});

test("the platform's words have codes", () => {
  const code = (/** @type {string} */ text) => platformRefusal(new Error(text)).code;
  const unplaced = "There is no Container instance that can be provided to this Durable Object, try again later";
  assert.deepEqual(platformRefusal(new Error(unplaced)).fields, { reason: "provisioning" });
  assert.equal(code("Maximum number of running container instances exceeded. Try again later"), "provider_capacity");
  assert.equal(code("There is no Container instance that can be provided to this Durable Object"), "provider_capacity");
  assert.equal(code("No such image available named x"), "image_missing");
  assert.equal(code("something new"), "provider_failed");
  assert.equal(exitCode(new Error("Container exited with unexpected exit code: 7")), 7);
  assert.equal(exitCode(Object.assign(new Error("x"), { exitCode: 9 })), 9);
  assert.equal(exitCode(new Error("Network connection lost.")), undefined);
});
