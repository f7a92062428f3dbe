// Who may change runtimes: only the orchestrator, whose calls are signed with a key that it shares with
// this Worker alone. The signature covers method, path, time, nonce and body; the time must be close to
// ours, and the index remembers the nonces of that window, so a call cannot be sent a second time.

import { fromBase64Url, fromHex, toHex } from "./bytes.js";
import { Refusal } from "./problem.js";

/** How far apart the clocks may be, in seconds. */
export const WINDOW_SECONDS = 60;

/** Boot files travel in an environment variable, which the kernel limits to 128 KiB. */
const LONGEST_BODY = 256 * 1024;

const NONCE = /^[A-Za-z0-9_-]{16,64}$/;

/** @typedef {{ body: string, nonce: string, expires: number }} Verified */

/**
 * The body of a genuine call. Whether its nonce is new is the caller's to ask.
 * @param {Request} request
 * @param {string} key base64url
 * @param {number} now seconds
 * @returns {Promise<Verified>}
 */
export async function verifyControl(request, key, now) {
  const refuse = (/** @type {string} */ why, /** @type {Record<string, unknown>} */ fields = {}) =>
    new Refusal("unauthorized", `the control call is refused: ${why}`, fields);
  const time = Number(request.headers.get("x-pilot-time"));
  const nonce = request.headers.get("x-pilot-nonce") ?? "";
  const signature = fromHex(request.headers.get("x-pilot-signature") ?? "");
  if (!Number.isSafeInteger(time) || !NONCE.test(nonce) || signature?.length !== 32) {
    throw refuse("it is not signed");
  }
  const body = await text(request.body);

  const secret = fromBase64Url(key);
  if (!secret || secret.length < 32) throw new Refusal("internal", "the Worker has no usable control key");
  const hmac = await crypto.subtle.importKey("raw", secret, { name: "HMAC", hash: "SHA-256" }, false, ["verify"]);
  const message = signed(request.method, new URL(request.url), time, nonce, await sha256(body));
  if (!(await crypto.subtle.verify("HMAC", hmac, signature, new TextEncoder().encode(message)))) {
    throw refuse("the signature is not by this installation's key");
  }
  // After the signature, so that only the holder of the key learns our clock.
  if (Math.abs(now - time) > WINDOW_SECONDS) {
    throw refuse("the clocks are too far apart", { reason: "clock_skew", now, time });
  }
  return { body, nonce, expires: time + WINDOW_SECONDS };
}

/**
 * @param {string} method
 * @param {URL} url
 * @param {number} time
 * @param {string} nonce
 * @param {string} bodyHash
 */
function signed(method, url, time, nonce, bodyHash) {
  return ["pilot-control-v1", method, url.pathname + url.search, time, nonce, bodyHash].join("\n");
}

/** Before the signature is known to be good, so it has a limit. @param {ReadableStream<Uint8Array> | null} body */
async function text(body) {
  const decoder = new TextDecoder();
  let [read, size] = ["", 0];
  for await (const chunk of body ?? []) {
    size += chunk.byteLength;
    if (size > LONGEST_BODY) throw new Refusal("bad_request", "the body is too long");
    read += decoder.decode(chunk, { stream: true });
  }
  return read + decoder.decode();
}

/** @param {string} text */
async function sha256(text) {
  return toHex(await crypto.subtle.digest("SHA-256", new TextEncoder().encode(text)));
}
