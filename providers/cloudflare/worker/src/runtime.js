// One runtime: its spec and boot files in this object's storage, and its container. The container's disk
// is gone whenever it ends; nothing here outlives `remove`.

import { DurableObject } from "cloudflare:workers";

import { exitCode, platformRefusal } from "./platform.js";
import { problem, Refusal } from "./problem.js";
import { bootFiles, highest, mayChange, owner, strings } from "./record.js";

/** @import { BootFiles, Runtime as Record_ } from "./record.js" */

const PORT_HEADER = "x-pilot-port";
const RUNTIME_HEADER = "x-pilot-runtime";
const PORTS = { backend: 3000, opencode: 4096 };

/** How long a start may take until the instance answers; a cold start takes 1 to 3 seconds. */
const START_LIMIT_MS = 25_000;
/** Something may accept a connection before the instance listens, and then never answer on it. */
const PROBE_LIMIT_MS = 800;
const PROBE_PAUSE_MS = 50;

const SIGTERM = 15;
const LONGEST_GRACE_MS = 60_000;

/** The platform ends a container some time after its object went to sleep; the alarm is quicker. */
const INACTIVITY_MS = 10 * 60_000;
const ALARM_MS = 30_000;
/** What ends at once after every start does not spin. */
const MOVED_MS = 1000;

/** @typedef {import("./index.js").Env} Env */
/** @typedef {{ code: number | undefined, error: unknown }} End */

/** @param {number} ms */
const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/** @extends {DurableObject<Env>} */
export class Runtime extends DurableObject {
  /** @type {Record_ | undefined} */
  #record;
  /** Resolves when the running container has ended. @type {Promise<End> | undefined} */
  #ended;
  /** The instance was seen answering since its container started. */
  #answers = false;
  /** Changes happen one after the other. @type {Promise<unknown>} */
  #turn = Promise.resolve();

  /** @param {DurableObjectState} ctx @param {Env} env */
  constructor(ctx, env) {
    super(ctx, env);
    ctx.blockConcurrencyWhile(async () => {
      this.#record = await ctx.storage.get("record");
      if (this.#container.running) this.#watch();
      // It may have ended while this object was not in memory.
      else if (this.#wasMoved()) await ctx.storage.setAlarm(Date.now() + MOVED_MS);
    });
  }

  // Control calls. Each may be repeated, and a refusal is a value.

  /**
   * Makes the runtime what the call says, and starts it if the call says so or it was to run and never came to it.
   * @param {Record<string, unknown>} call
   */
  ensure(call) {
    return this.#alone(async () => {
      const sent = owner(call);
      // Made by a create alone, which brings its boot files.
      if (call.update === true) this.#known(call);
      if (this.#record) mayChange(this.#record, call);
      const { storage } = this.ctx;
      // The index first: a runtime that exists is always listed.
      await this.#index.enter(sent.runtime);
      const env = strings(call.env ?? {}, "env");
      const spec = /** @type {Record<string, unknown>} */ (call.spec ?? {});
      const fence = highest(this.#record, call);
      await this.#remember({ wanted: "stopped", ...this.#record, ...fence, owner: sent, spec, env });
      if (call.boot !== undefined) await storage.put("boot", bootFiles(call.boot));
      if (call.start === true || this.#wasMoved()) await this.#start();
      return this.#shown();
    });
  }

  /** @param {Record<string, unknown>} call */
  start(call) {
    return this.#alone(async () => {
      mayChange(this.#known(call), call);
      if (call.boot !== undefined) await this.ctx.storage.put("boot", bootFiles(call.boot));
      await this.#start(call);
      return this.#shown();
    });
  }

  /** @param {Record<string, unknown>} call */
  stop(call) {
    return this.#alone(async () => {
      if (!this.#record) return this.#shown();
      mayChange(this.#record, call);
      // The intent first, so that no alarm starts it again.
      await this.#remember({ ...this.#record, ...highest(this.#record, call), wanted: "stopped" });
      await this.#end(Math.min(Number(call.graceMs ?? 0), LONGEST_GRACE_MS));
      return this.#shown();
    });
  }

  /** @param {Record<string, unknown>} call */
  remove(call) {
    return this.#alone(async () => {
      if (this.#record) mayChange(this.#record, call);
      await this.#end(0);
      this.#record = undefined;
      await this.ctx.storage.deleteAlarm();
      await this.ctx.storage.deleteAll();
      await this.#index.leave(String(call.runtime));
      return this.#shown();
    });
  }

  state() {
    return this.#shown();
  }

  // Traffic.

  /** @param {Request} request @returns {Promise<Response>} */
  async fetch(request) {
    const requestId = request.headers.get("x-pilot-request-id") ?? `req-${crypto.randomUUID()}`;
    try {
      return await this.#forward(request);
    } catch (error) {
      const refusal = error instanceof Refusal ? error : unreachable(error);
      return problem(refusal, requestId);
    }
  }

  /** @param {Request} request */
  async #forward(request) {
    const port = Number(request.headers.get(PORT_HEADER) ?? PORTS.backend);
    if (port !== PORTS.backend && port !== PORTS.opencode) {
      throw new Refusal("bad_request", `an instance has the ports ${PORTS.backend} and ${PORTS.opencode}`);
    }
    if (!this.#record) throw new Refusal("not_found", "there is no such runtime");
    if (!this.#container.running) {
      const { wanted, exitCode: code } = this.#record;
      const state = wanted === "running" ? `ended${code === undefined ? "" : ` with ${code}`}` : wanted;
      throw new Refusal("workspace_not_ready", `the instance is ${state}`);
    }
    if (!this.#answers && !(await this.#probe())) {
      throw new Refusal("workspace_not_ready", "the instance is booting");
    }
    const url = new URL(request.url);
    url.protocol = "http:";
    const forwarded = new Request(url, request);
    for (const ours of [PORT_HEADER, RUNTIME_HEADER]) forwarded.headers.delete(ours);
    return this.#container.getTcpPort(port).fetch(forwarded);
  }

  async alarm() {
    await this.#alone(async () => {
      if (this.#record?.wanted !== "running") return;
      const moved = this.#wasMoved();
      if (moved || this.#container.running) await this.ctx.storage.setAlarm(Date.now() + ALARM_MS);
      if (moved) await this.#start();
    });
  }

  // The container.

  get #container() {
    const { container } = this.ctx;
    if (!container) throw new Refusal("provider_failed", "this Worker has no container application");
    return container;
  }

  /** An instance ends with 0 only when it is told to. If we did not, the platform did. */
  #wasMoved() {
    const isMissing = this.#record?.wanted === "running" && !this.#container.running;
    return isMissing && (this.#record?.exitCode ?? 0) === 0;
  }

  /** @param {Record<string, unknown>} [call] that wants it; none does when the platform ended it */
  async #start(call = {}) {
    const { exitCode: _, ...record } = this.#known(call);
    await this.#remember({ ...record, ...highest(record, call), wanted: "running" });
    await this.ctx.storage.setAlarm(Date.now() + ALARM_MS);
    const container = this.#container;
    if (!container.running) {
      /** @type {BootFiles} */
      const boot = (await this.ctx.storage.get("boot")) ?? {};
      const env = { ...record.env, PILOT_BOOT_FILES: JSON.stringify(boot) };
      container.start({ env, enableInternet: true });
      this.#watch();
      // Newer runtimes only.
      const { setInactivityTimeout } = /** @type {{ setInactivityTimeout?: (ms: number) => Promise<void> }} */ (
        /** @type {unknown} */ (container)
      );
      await setInactivityTimeout?.call(container, INACTIVITY_MS);
    }
    await this.#untilItAnswers();
  }

  /** An instance that is still booting after the limit counts as started; its state tells the rest. */
  async #untilItAnswers() {
    const deadline = Date.now() + START_LIMIT_MS;
    while (Date.now() < deadline) {
      if (!this.#container.running) {
        const end = await this.#ended;
        if (end?.code === undefined) throw platformRefusal(end?.error ?? "the container did not start");
        throw new Refusal("instance_failed", `the container ended with exit code ${end.code}`, { exitCode: end.code });
      }
      if (await this.#probe()) return;
      await pause(PROBE_PAUSE_MS);
    }
  }

  async #probe() {
    try {
      const signal = AbortSignal.timeout(PROBE_LIMIT_MS);
      const answer = await this.#container.getTcpPort(PORTS.backend).fetch("http://instance/health", { signal });
      await answer.body?.cancel();
      this.#answers = true;
    } catch {
      this.#answers = false;
    }
    return this.#answers;
  }

  /** Notices the container's end. Without this, `running` would stay true after it. */
  #watch() {
    this.#answers = false;
    const ended = this.#container.monitor().then(
      () => ({ code: 0, error: undefined }),
      (/** @type {unknown} */ error) => ({ code: exitCode(error), error }),
    );
    this.#ended = ended.then(async (end) => {
      this.#answers = false;
      if (!this.#record) return end;
      await this.#remember({ ...this.#record, exitCode: end.code });
      if (this.#wasMoved()) await this.ctx.storage.setAlarm(Date.now() + MOVED_MS);
      return end;
    });
    this.ctx.waitUntil(this.#ended);
  }

  /** @param {number} graceMs */
  async #end(graceMs) {
    const container = this.#container;
    if (container.running && graceMs > 0) {
      container.signal(SIGTERM);
      await Promise.race([this.#ended, pause(graceMs)]);
    }
    if (container.running) await container.destroy();
    await this.#ended;
    this.#ended = undefined;
  }

  // What is remembered.

  get #index() {
    return this.env.INDEX.get(this.env.INDEX.idFromName("index"));
  }

  /** @param {Record<string, unknown>} call */
  #known(call) {
    if (!this.#record) throw new Refusal("not_found", `there is no runtime ${call.runtime ?? ""}`);
    return this.#record;
  }

  /** @param {Record_} record */
  async #remember(record) {
    this.#record = record;
    await this.ctx.storage.put("record", record);
  }

  #shown() {
    if (!this.#record) return { status: "absent" };
    const { owner: labels, spec, exitCode: code } = this.#record;
    const running = this.#container.running;
    return { ...labels, spec, status: running ? "running" : "stopped", ...(running || code === undefined ? {} : { exitCode: code }) };
  }

  /**
   * One change after the other; what goes wrong becomes a value.
   * @template T
   * @param {() => Promise<T>} change
   */
  #alone(change) {
    const mine = this.#turn.then(change).catch((error) => {
      const { code, message: detail, fields } = error instanceof Refusal ? error : platformRefusal(error);
      // What is remembered exists, even if it could not be started.
      return { refusal: { code, detail, fields: { exists: this.#record !== undefined, ...fields } } };
    });
    this.#turn = mine;
    return mine;
  }
}

/** @param {unknown} error */
function unreachable(error) {
  const text = error instanceof Error ? error.message : String(error);
  return new Refusal("upstream_unreachable", `the instance does not answer: ${text.slice(0, 300)}`);
}
