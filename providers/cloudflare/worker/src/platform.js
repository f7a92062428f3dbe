// What the platform's own words mean. It has no codes for these, so its text decides; a text that is not
// known stays a plain failure.

import { Refusal } from "./problem.js";

/** A command in a container. @typedef {{ stdout: ReadableStream, exitCode: Promise<number> }} Process */

/**
 * What `ctx.container` has. Of an application with the default policy, `start` takes no image, and there are no snapshots.
 * @typedef {object} Platform
 * @property {boolean} running
 * @property {(options: Record<string, unknown>) => void} start
 * @property {() => Promise<void>} monitor
 * @property {() => Promise<void>} destroy
 * @property {(number: number) => void} signal
 * @property {(port: number) => Fetcher} getTcpPort
 * @property {(ms: number) => Promise<void>} [setInactivityTimeout] newer runtimes only
 * @property {(options: { name?: string }) => Promise<{ id: string, size: number }>} snapshotContainer
 * @property {(command: string[], options?: { stdin?: ReadableStream }) => Promise<Process>} exec
 */

/** @type {[RegExp, import("./problem.js").Code, string?][]} */
const KNOWN = [
  [/maximum number of running container instances exceeded/i, "provider_capacity"],
  // Also while the first containers of an application, or those of a new image, are being brought to the machines.
  [/no container instance that can be provided/i, "provider_capacity", "provisioning"],
  [/too many containers per second/i, "provider_capacity"],
  [/no such image/i, "image_missing"],
];

/** @param {unknown} error */
export function problemOfPlatform(error) {
  const text = error instanceof Error ? error.message : String(error);
  return `Cloudflare says: ${text.slice(0, 500)}`;
}

/** @param {unknown} error */
export function platformRefusal(error) {
  const text = error instanceof Error ? error.message : String(error);
  const [, code = "provider_failed", reason] = KNOWN.find(([words]) => words.test(text)) ?? [];
  return new Refusal(code, problemOfPlatform(error), reason ? { reason } : {});
}

/** The exit code that `monitor()` tells, if it tells one. @param {unknown} error */
export function exitCode(error) {
  const told = /** @type {{ exitCode?: unknown }} */ (error)?.exitCode;
  if (typeof told === "number") return told;
  const text = error instanceof Error ? error.message : String(error);
  const found = /(?:unexpected exit code:?|signalled the container to exit:)\s*(\d+)/i.exec(text);
  return found ? Number(found[1]) : undefined;
}
