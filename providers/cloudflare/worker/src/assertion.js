// Who may speak to an instance: only the gateway, by an Ed25519-signed statement for this one runtime.
// The instance's backend checks the same statement again; here it decides which object is asked at all.

import { fromBase64Url } from "./bytes.js";
import { Refusal } from "./problem.js";

export const ASSERTION = "x-pilot-assertion";

const LEEWAY_SECONDS = 30;
const LONGEST_LIFE_SECONDS = 300;

/** @param {string} why */
const refuse = (why) => new Refusal("unauthorized", `the gateway assertion ${why}`);

/**
 * The runtime that the request is for.
 * @param {Headers} headers
 * @param {{ key: string, installation: string, now: number }} trust key: base64url of the public key
 * @returns {Promise<string>}
 */
export async function verifyAssertion(headers, trust) {
  const token = headers.get(ASSERTION);
  if (token === null) throw refuse("is missing, so the request did not come through the gateway");
  // More than one header arrives as a list, which is no token.
  const [head, body, mark, ...rest] = token.split(".");
  const signature = fromBase64Url(mark ?? "");
  if (!head || !body || signature?.length !== 64 || rest.length > 0) throw refuse("cannot be read");
  if (json(head).alg !== "EdDSA") throw refuse("is not signed with this installation's key");
  const key = fromBase64Url(trust.key);
  if (key?.length !== 32) throw new Refusal("internal", "the Worker has no usable gateway key");
  const verifier = await crypto.subtle.importKey("raw", key, { name: "Ed25519" }, false, ["verify"]);
  const genuine = await crypto.subtle.verify(
    { name: "Ed25519" },
    verifier,
    signature,
    new TextEncoder().encode(`${head}.${body}`),
  );
  if (!genuine) throw refuse("is not signed with this installation's key");

  const { iss, aud, sub, iat, exp } = json(body);
  if (iss !== trust.installation) throw refuse("is from another installation");
  if (typeof aud !== "string" || typeof sub !== "string") throw refuse("cannot be read");
  if (typeof iat !== "number" || typeof exp !== "number") throw refuse("cannot be read");
  const { now } = trust;
  if (exp + LEEWAY_SECONDS <= now || iat > now + LEEWAY_SECONDS || exp - iat > LONGEST_LIFE_SECONDS) {
    throw refuse("has expired or is from the future; the clocks may differ");
  }
  return aud;
}

/** @param {string} part @returns {Record<string, unknown>} */
function json(part) {
  try {
    return JSON.parse(new TextDecoder().decode(fromBase64Url(part)));
  } catch {
    throw refuse("cannot be read");
  }
}
