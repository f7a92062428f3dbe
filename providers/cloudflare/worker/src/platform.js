// What the platform's own words mean. It has no codes for these, so its text decides; a text that is not
// known stays a plain failure.

import { Refusal } from "./problem.js";

/** @type {[RegExp, import("./problem.js").Code][]} */
const KNOWN = [
  [/maximum number of running container instances exceeded/i, "provider_capacity"],
  [/no container instance that can be provided/i, "provider_capacity"],
  [/too many containers per second/i, "provider_capacity"],
  [/no such image/i, "image_missing"],
];

/** @param {unknown} error */
export function platformRefusal(error) {
  const text = error instanceof Error ? error.message : String(error);
  const code = KNOWN.find(([words]) => words.test(text))?.[1] ?? "provider_failed";
  return new Refusal(code, `Cloudflare says: ${text.slice(0, 500)}`);
}

/** The exit code that `monitor()` tells, if it tells one. @param {unknown} error */
export function exitCode(error) {
  const told = /** @type {{ exitCode?: unknown }} */ (error)?.exitCode;
  if (typeof told === "number") return told;
  const text = error instanceof Error ? error.message : String(error);
  const found = /(?:unexpected exit code:?|signalled the container to exit:)\s*(\d+)/i.exec(text);
  return found ? Number(found[1]) : undefined;
}
