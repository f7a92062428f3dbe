// What the platform's own words mean. It has no codes for these, so its text decides; a text that is not
// known stays a plain failure.

import { Refusal } from "./problem.js";

/** @type {[RegExp, import("./problem.js").Code, string?][]} */
const KNOWN = [
  [/maximum number of running container instances exceeded/i, "provider_capacity"],
  // Also while the first containers of an application, or those of a new image, are being brought to the machines.
  [/no container instance that can be provided/i, "provider_capacity", "provisioning"],
  [/too many containers per second/i, "provider_capacity"],
  [/no such image/i, "image_missing"],
];

/** @param {unknown} error */
export function platformRefusal(error) {
  const text = error instanceof Error ? error.message : String(error);
  const [, code = "provider_failed", reason] = KNOWN.find(([words]) => words.test(text)) ?? [];
  return new Refusal(code, `Cloudflare says: ${text.slice(0, 500)}`, reason ? { reason } : {});
}

/** The exit code that `monitor()` tells, if it tells one. @param {unknown} error */
export function exitCode(error) {
  const told = /** @type {{ exitCode?: unknown }} */ (error)?.exitCode;
  if (typeof told === "number") return told;
  const text = error instanceof Error ? error.message : String(error);
  const found = /(?:unexpected exit code:?|signalled the container to exit:)\s*(\d+)/i.exec(text);
  return found ? Number(found[1]) : undefined;
}
