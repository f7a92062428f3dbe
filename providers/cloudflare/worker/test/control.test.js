import assert from "node:assert/strict";
import { test } from "node:test";

import { verifyControl, WINDOW_SECONDS } from "../src/control.js";

const KEY = Buffer.alloc(32, 7).toString("base64url");
const TIME = 1_700_000_000;

/** The same values are in sign.rs. */
const SIGNATURE = "dd55ecf7aeb60063b72c0e99264be5e294c31947f7541103943b49b750dae51d";

function request({ path = "/_pilot/runtimes/rt-1?x=1", method = "PUT", body = '{"a":1}', ...headers } = {}) {
  const signed = { "x-pilot-time": `${TIME}`, "x-pilot-nonce": "nonce-nonce-nonce", "x-pilot-signature": SIGNATURE };
  return new Request(`https://worker.example${path}`, { method, body, headers: { ...signed, ...headers } });
}

const refused = (/** @type {Promise<unknown>} */ call) => assert.rejects(call, { code: "unauthorized" });

test("a genuine call gives its body and its nonce", async () => {
  const verified = await verifyControl(request(), KEY, TIME + 5);
  assert.deepEqual(verified, { body: '{"a":1}', nonce: "nonce-nonce-nonce", expires: TIME + WINDOW_SECONDS });
});

test("whatever is signed cannot be changed", async () => {
  for (const change of [
    { path: "/_pilot/runtimes/rt-2?x=1" },
    { path: "/_pilot/runtimes/rt-1?x=2" },
    { method: "POST" },
    { body: '{"a":2}' },
    { "x-pilot-time": `${TIME + 1}` },
    { "x-pilot-nonce": "nonce-nonce-other" },
    { "x-pilot-signature": SIGNATURE.replace("d", "e") },
  ]) {
    await refused(verifyControl(request(change), KEY, TIME));
  }
});

test("a call without a whole signature is refused", async () => {
  for (const change of [
    { "x-pilot-time": "now" },
    { "x-pilot-nonce": "short" },
    { "x-pilot-signature": "" },
    { "x-pilot-signature": "zz" },
    { "x-pilot-signature": SIGNATURE.slice(2) },
  ]) {
    await refused(verifyControl(request(change), KEY, TIME));
  }
});

test("clocks may differ by a minute, and only the holder of the key learns ours", async () => {
  for (const apart of [WINDOW_SECONDS, -WINDOW_SECONDS]) await verifyControl(request(), KEY, TIME + apart);
  const late = { code: "unauthorized", fields: { reason: "clock_skew", now: TIME + 61, time: TIME } };
  await assert.rejects(verifyControl(request(), KEY, TIME + 61), late);
  const stranger = request({ "x-pilot-signature": "0".repeat(64) });
  await assert.rejects(verifyControl(stranger, KEY, TIME + 61), { code: "unauthorized", fields: {} });
});

test("a body that is too long is not read to its end", async () => {
  await assert.rejects(verifyControl(request({ body: "x".repeat(300_000) }), KEY, TIME), { code: "bad_request" });
});
