import assert from "node:assert/strict";
import { generateKeyPairSync, sign } from "node:crypto";
import { test } from "node:test";

import { verifyAssertion } from "../src/assertion.js";

const NOW = 1_700_000_000;
const pair = generateKeyPairSync("ed25519");
const key = String(pair.publicKey.export({ format: "jwk" }).x);
const trust = { key, installation: "in-1", now: NOW };
const CLAIMS = { iss: "in-1", aud: "rt-1", sub: "admin", iat: NOW, exp: NOW + 120, surface: "api" };

const encode = (/** @type {unknown} */ value) => Buffer.from(JSON.stringify(value)).toString("base64url");

function token(claims = {}, head = { alg: "EdDSA", typ: "JWT" }, signer = pair.privateKey) {
  const text = `${encode(head)}.${encode({ ...CLAIMS, ...claims })}`;
  return `${text}.${sign(null, Buffer.from(text), signer).toString("base64url")}`;
}

const verify = (/** @type {string} */ text) => verifyAssertion(new Headers({ "x-pilot-assertion": text }), trust);
const refused = (/** @type {Promise<unknown>} */ call) => assert.rejects(call, { code: "unauthorized" });

test("the gateway's assertion names the runtime", async () => {
  assert.equal(await verify(token()), "rt-1");
});

test("an assertion of another key, algorithm or installation is refused", async () => {
  await refused(verify(token({}, undefined, generateKeyPairSync("ed25519").privateKey)));
  await refused(verify(token({}, { alg: "none", typ: "JWT" })));
  await refused(verify(token({}, { alg: "HS256", typ: "JWT" })));
  await refused(verify(token({ iss: "in-2" })));
  const [head, , mark] = token().split(".");
  await refused(verify(`${head}.${encode({ ...CLAIMS, aud: "rt-2" })}.${mark}`));
});

test("what is no assertion is refused", async () => {
  await refused(verifyAssertion(new Headers(), trust));
  for (const text of ["", "nonsense", "a.b.c", `${token()}.more`, `${token()}, ${token()}`]) await refused(verify(text));
});

test("time is checked with a little leeway", async () => {
  const at = (/** @type {number} */ iat, /** @type {number} */ life) => verify(token({ iat, exp: iat + life }));
  for (const [iat, life] of [[NOW, 120], [NOW + 25, 120], [NOW - 145, 120]]) await at(iat, life);
  for (const [iat, life] of [[NOW + 35, 120], [NOW - 155, 120], [NOW, 301]]) await refused(at(iat, life));
});
