// The Worker of one Pilot installation. `/_pilot/*` is the orchestrator's way to create, start, stop and
// delete runtimes; everything else is the gateway's traffic to them. A runtime is one Durable Object
// with one container, named by the runtime's id. This file only decides who asks and for what.

import { ASSERTION, verifyAssertion } from "./assertion.js";
import { verifyControl } from "./control.js";
import { problem, Refusal } from "./problem.js";
import { platformRefusal } from "./platform.js";

export { Index } from "./index_object.js";
export { Runtime } from "./runtime.js";

/**
 * @typedef {object} Env
 * @property {DurableObjectNamespace<import("./runtime.js").Runtime>} RUNTIMES
 * @property {DurableObjectNamespace<import("./index_object.js").Index>} INDEX
 * @property {string} INSTALLATION
 * @property {string} GATEWAY_KEY base64url of the gateway's public key
 * @property {string} CONTROL_KEY base64url of the key shared with the orchestrator; a secret
 */

const CONTROL = "/_pilot/";
const RUNTIME_ID = /^rt-[a-z0-9-]{1,45}$/;
const RUNTIME_HEADER = "x-pilot-runtime";
/** A request may ask so many objects; the others are asked for by themselves. */
const MOST_STATES = 500;
const REQUEST_ID = /^[A-Za-z0-9_-]{1,64}$/;

export default {
  /** @param {Request} request @param {Env} env @returns {Promise<Response>} */
  async fetch(request, env) {
    const sent = request.headers.get("x-pilot-request-id") ?? "";
    const requestId = REQUEST_ID.test(sent) ? sent : `req-${crypto.randomUUID()}`;
    try {
      const isControl = new URL(request.url).pathname.startsWith(CONTROL);
      return await (isControl ? control(request, env) : traffic(request, env));
    } catch (error) {
      return problem(error instanceof Refusal ? error : platformRefusal(error), requestId);
    }
  },
};

const seconds = () => Math.floor(Date.now() / 1000);

/** @param {Env} env @param {string} id */
const runtime = (env, id) => env.RUNTIMES.get(env.RUNTIMES.idFromName(id));

/** @param {Env} env */
const index = (env) => env.INDEX.get(env.INDEX.idFromName("index"));

/** @param {Request} request @param {Env} env */
async function traffic(request, env) {
  // Open at the instance as well, so that whoever waits for it can ask; the id is known to few.
  const asked = request.headers.get(RUNTIME_HEADER) ?? "";
  if (new URL(request.url).pathname === "/health" && request.method === "GET" && RUNTIME_ID.test(asked)) {
    return runtime(env, asked).fetch(request);
  }
  const trust = { key: env.GATEWAY_KEY, installation: env.INSTALLATION, now: seconds() };
  const id = await verifyAssertion(request.headers, trust);
  if (!RUNTIME_ID.test(id)) throw new Refusal("unauthorized", `the ${ASSERTION} is for no runtime`);
  return runtime(env, id).fetch(request);
}

/** @param {Request} request @param {Env} env */
async function control(request, env) {
  const now = seconds();
  const { body, nonce, expires } = await verifyControl(request, env.CONTROL_KEY, now);
  const url = new URL(request.url);
  const call = body === "" ? {} : parse(body);
  const claimed = call.installation ?? url.searchParams.get("installation");
  const [collection, id, verb, ...rest] = url.pathname.slice(CONTROL.length).split("/");
  if (collection !== "runtimes" || rest.length > 0 || (id !== undefined && !RUNTIME_ID.test(id))) {
    throw new Refusal("not_found", `there is no control path ${url.pathname}`);
  }
  if (claimed !== env.INSTALLATION) {
    const what = id === undefined ? "this Worker" : `the runtime ${id}`;
    const why = `${what} belongs to the installation ${env.INSTALLATION}, so it is not touched`;
    throw new Refusal("foreign_object", why, { owner: env.INSTALLATION });
  }
  if (request.method !== "GET" && !(await index(env).admit(nonce, expires, now))) {
    throw new Refusal("unauthorized", "the control call is refused: it was sent before", { reason: "replayed" });
  }
  if (id === undefined) {
    if (request.method !== "GET") throw new Refusal("not_found", `there is no control call ${request.method}`);
    return answer(await all(env, url.searchParams.has("states")));
  }
  return answer(await route(env, request.method, id, verb, { ...call, runtime: id }));
}

/** What there is, and how it is if that is asked for. What does not answer has no state here. @param {Env} env @param {boolean} withStates */
async function all(env, withStates) {
  const listed = await index(env).list();
  if (!withStates) return { installation: env.INSTALLATION, ...listed };
  const asked = listed.runtimes.slice(0, MOST_STATES).map(async (id) => {
    /** @type {{ status: string, exitCode?: number }} */
    const { status, exitCode } = await runtime(env, id).state();
    return { runtime: id, status, exitCode };
  });
  const told = await Promise.allSettled(asked);
  const states = told.flatMap((state) => (state.status === "fulfilled" ? [state.value] : []));
  return { installation: env.INSTALLATION, states };
}

/**
 * @param {Env} env
 * @param {string} method
 * @param {string} id
 * @param {string | undefined} verb
 * @param {Record<string, unknown>} call
 * @returns {Promise<unknown>}
 */
async function route(env, method, id, verb, call) {
  const nothing = new Refusal("not_found", `there is no control call ${method} ${verb ?? ""}`);
  const object = runtime(env, id);
  switch (`${method} ${verb ?? ""}`.trim()) {
    case "PUT home":
      return object.ensureHome(call);
    case "DELETE home":
      return object.removeHome(call);
    case "GET snapshots":
      return object.snapshots();
    case "POST snapshots":
      return object.take(call);
    case "DELETE snapshots":
      return object.drop(call);
    case "POST restore":
      return object.restore(call);
    case "PUT":
      return object.ensure(call);
    case "DELETE":
      return object.remove(call);
    case "GET state":
      return object.state();
    case "POST start":
      return object.start(call);
    case "POST stop":
      return object.stop(call);
    default:
      throw nothing;
  }
}

/** @param {string} body @returns {Record<string, unknown>} */
function parse(body) {
  try {
    const call = JSON.parse(body);
    if (typeof call === "object" && call !== null && !Array.isArray(call)) return call;
  } catch {
    // Answered below like every other body that is none of ours.
  }
  throw new Refusal("bad_request", "the body is not a JSON object");
}

/** Refusals cross from the object as values, because an exception keeps only its text. @param {any} result */
function answer(result) {
  if (result?.refusal) throw new Refusal(result.refusal.code, result.refusal.detail, result.refusal.fields);
  return Response.json(result, { headers: { "cache-control": "no-store" } });
}
