// What is remembered of a runtime, and how a control call is read.

import { Refusal } from "./problem.js";

/**
 * @typedef {object} Owner
 * @property {string} installation
 * @property {string} runtime
 * @property {number} generation rises with every change of the spec
 */

/** @typedef {"running" | "stopped"} Wanted */

/** What of a runtime is listed. @typedef {"runtime" | "home"} What */

/**
 * @typedef {object} Runtime
 * @property {Owner} owner
 * @property {Record<string, unknown>} spec the provider's own inputs; given back as they came
 * @property {Record<string, string>} env of the container
 * @property {Wanted} wanted
 * @property {import("./home.js").Machine} [machine] where each start chooses image and size
 * @property {number} [fence] the highest that a change had
 * @property {number} [exitCode] of a container that ended
 */

/** Paths below the home to base64. May hold secrets: kept in this object's storage and never given back.
 * @typedef {Record<string, string>} BootFiles */

/** The kernel's limit for one variable is 128 KiB, its name included. */
const LONGEST_BOOT = 120 * 1024;

/** @param {Record<string, unknown>} call @returns {Owner} */
export function owner(call) {
  const { installation, runtime, generation } = call;
  if (typeof installation !== "string" || typeof runtime !== "string" || !Number.isSafeInteger(generation)) {
    throw new Refusal("bad_request", "installation, runtime and generation are needed");
  }
  return { installation, runtime, generation: Number(generation) };
}

/** @param {unknown} value @param {string} what @returns {Record<string, string>} */
export function strings(value, what) {
  const isMap = typeof value === "object" && value !== null && !Array.isArray(value);
  if (!isMap || !Object.values(value).every((text) => typeof text === "string")) {
    throw new Refusal("bad_request", `${what} is not a map of texts`);
  }
  return /** @type {Record<string, string>} */ (value);
}

/** @param {unknown} value @returns {BootFiles} */
export function bootFiles(value) {
  const files = strings(value ?? {}, "boot");
  if (JSON.stringify(files).length > LONGEST_BOOT) {
    throw new Refusal("bad_request", `the boot files are longer than ${LONGEST_BOOT} bytes together`);
  }
  return files;
}

/**
 * Passes when the call may change what is remembered: same owner, a generation that is not older, and a fence
 * that is not lower. A call without one speaks for no operation.
 * @param {Pick<Runtime, "owner" | "fence">} record
 * @param {Record<string, unknown>} call
 */
export function mayChange({ owner: ours, fence: seen }, call) {
  if (call.installation !== ours.installation) {
    const why = `the runtime ${ours.runtime} belongs to the installation ${ours.installation}, so it is not touched`;
    throw new Refusal("foreign_object", why, { owner: ours.installation });
  }
  const { generation } = call;
  if (generation !== undefined && Number(generation) < ours.generation) {
    const why = `the call is of generation ${generation}, and ${ours.runtime} is at ${ours.generation} already`;
    throw new Refusal("fenced", why, { generation: ours.generation });
  }
  const fence = fenceOf(call);
  if (fence !== undefined && seen !== undefined && fence < seen) {
    const why = `the call has the fence ${fence}, and ${ours.runtime} has seen ${seen} already`;
    throw new Refusal("fenced", why, { fence: seen });
  }
}

/**
 * The highest fence after this call, as a part of what is remembered.
 * @param {Pick<Runtime, "fence"> | undefined} record
 * @param {Record<string, unknown>} call
 * @returns {Pick<Runtime, "fence">}
 */
export function highest(record, call) {
  const [fence, seen] = [fenceOf(call), record?.fence];
  if (fence === undefined && seen === undefined) return {};
  return { fence: Math.max(fence ?? 0, seen ?? 0) };
}

/** @param {Record<string, unknown>} call */
function fenceOf({ fence }) {
  if (fence === undefined || fence === null) return undefined;
  if (!Number.isSafeInteger(fence)) throw new Refusal("bad_request", "the fence is no whole number");
  return Number(fence);
}
