// A visitor's request on its way into the container.

import { PORTS } from "./instance.js";
import { Refusal } from "./problem.js";

/** @import { Instance } from "./instance.js" */
/** @import { Runtime } from "./record.js" */

const PORT_HEADER = "x-pilot-port";
const RUNTIME_HEADER = "x-pilot-runtime";

/**
 * @param {Request} request
 * @param {Instance} instance
 * @param {Runtime | undefined} record
 * @param {boolean} saves
 */
export async function forward(request, instance, record, saves) {
  const port = Number(request.headers.get(PORT_HEADER) ?? PORTS.backend);
  if (port !== PORTS.backend && port !== PORTS.opencode) {
    throw new Refusal("bad_request", `an instance has the ports ${PORTS.backend} and ${PORTS.opencode}`);
  }
  if (!record) throw new Refusal("not_found", "there is no such runtime");
  if (!instance.runs) {
    const { wanted, exitCode: code } = record;
    const state = wanted === "running" ? `ended${code === undefined ? "" : ` with ${code}`}` : wanted;
    throw new Refusal("workspace_not_ready", `the instance is ${state}`);
  }
  if (saves) throw new Refusal("workspace_not_ready", "the files are being saved");
  if (!instance.answers && !(await instance.probe())) {
    throw new Refusal("workspace_not_ready", "the instance is booting");
  }
  const url = new URL(request.url);
  url.protocol = "http:";
  const forwarded = new Request(url, request);
  for (const ours of [PORT_HEADER, RUNTIME_HEADER]) forwarded.headers.delete(ours);
  return instance.container.getTcpPort(port).fetch(forwarded);
}

/** @param {unknown} error */
export function unreachable(error) {
  const text = error instanceof Error ? error.message : String(error);
  return new Refusal("upstream_unreachable", `the instance does not answer: ${text.slice(0, 300)}`);
}
