// One runtime: its spec and boot files in this object's storage, and its container. The container's disk is gone whenever
// it ends; what of it is kept is in `home.js`. Nothing here outlives the removal of both.

import { DurableObject } from "cloudflare:workers";

import { Carrier } from "./carrier.js";
import { begins, Home, machine, shownSnapshot } from "./home.js";
import { Instance } from "./instance.js";
import { platformRefusal } from "./platform.js";
import { problem, Refusal } from "./problem.js";
import { forward, unreachable } from "./traffic.js";
import { bootFiles, highest, mayChange, owner, strings } from "./record.js";

/** @import { Disk } from "./home.js" */
/** @import { BootFiles, Runtime as Record_ } from "./record.js" */

const LONGEST_GRACE_MS = 60_000;

/** The platform ends a container some time after its object went to sleep; the alarm is quicker. */
const INACTIVITY_MS = 10 * 60_000;
const ALARM_MS = 30_000;
/** What ends at once after every start does not spin. */
const MOVED_MS = 1000;

/** @typedef {import("./index.js").Env} Env */

/** @extends {DurableObject<Env>} */
export class Runtime extends DurableObject {
  /** @type {Record_ | undefined} */
  #record;
  #instance;
  #carrier;
  #home;
  /** While files are saved, nobody changes them. */
  #saves = false;
  /** Changes happen one after the other. @type {Promise<unknown>} */
  #turn = Promise.resolve();

  /** @param {DurableObjectState} ctx @param {Env} env */
  constructor(ctx, env) {
    super(ctx, env);
    this.#home = new Home(ctx);
    this.#instance = new Instance(ctx, (end) => this.#noticed(end.code));
    this.#carrier = new Carrier(this.#instance);
    ctx.blockConcurrencyWhile(async () => {
      this.#record = await ctx.storage.get("record");
      await this.#home.load(this.#instance.container);
      if (this.#instance.runs) this.#instance.watch();
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
      this.#mayChange(call);
      const { storage } = this.ctx;
      // The index first: a runtime that exists is always listed.
      await this.#index.enter(sent.runtime, "runtime");
      const env = strings(call.env ?? {}, "env");
      const spec = /** @type {Record<string, unknown>} */ (call.spec ?? {});
      const before = this.#record?.machine;
      const wanted = machine(call.machine);
      const isOther = wanted !== undefined && before !== undefined && JSON.stringify(wanted) !== JSON.stringify(before);
      // What runs runs afterwards, as large as it is now wanted and from that image.
      const again = isOther && this.#instance.runs && this.#record?.wanted === "running";
      if (again) await this.#rest(LONGEST_GRACE_MS);
      const fence = this.#highest(call);
      const rest = wanted === undefined ? {} : { machine: wanted };
      await this.#remember({ wanted: "stopped", ...this.#record, ...fence, owner: sent, spec, env, ...rest });
      if (again) await this.#start();
      if (call.boot !== undefined) await storage.put("boot", bootFiles(call.boot));
      if (call.start === true || this.#wasMoved()) await this.#start();
      return this.#shown();
    });
  }

  /** @param {Record<string, unknown>} call */
  start(call) {
    return this.#alone(async () => {
      this.#known(call);
      this.#mayChange(call);
      if (call.boot !== undefined) await this.ctx.storage.put("boot", bootFiles(call.boot));
      await this.#start(call);
      return this.#shown();
    });
  }

  /** @param {Record<string, unknown>} call */
  stop(call) {
    return this.#alone(async () => {
      if (!this.#record) return this.#shown();
      this.#mayChange(call);
      // What cannot be saved goes on.
      await this.#save();
      // The intent before the end, so that no alarm starts it again.
      await this.#remember({ ...this.#known(call), ...this.#highest(call), wanted: "stopped" });
      await this.#instance.end(Math.min(Number(call.graceMs ?? 0), LONGEST_GRACE_MS));
      await this.#keepForLong();
      return this.#shown();
    });
  }

  /** Its home stays, where it has one. @param {Record<string, unknown>} call */
  remove(call) {
    return this.#alone(async () => {
      this.#mayChange(call);
      if (this.#home.record) {
        await this.#rest(0);
        await this.#home.remember({ ...this.#home.record, ...this.#highest(call) });
      }
      await this.#instance.end(0);
      this.#record = undefined;
      await this.ctx.storage.delete(["record", "boot"]);
      await this.#index.leave(String(call.runtime), "runtime");
      if (!this.#home.record) await this.#vanish();
      await this.#keepForLong();
      return this.#shown();
    });
  }

  // The home, where the account keeps one. Every change of it is a change of its runtime, with the same fence.

  /** @param {Record<string, unknown>} call */
  ensureHome(call) {
    return this.#alone(async () => {
      const sent = owner(call);
      if (call.update === true && !this.#home.record) throw new Refusal("not_found", `there is no home of ${sent.runtime}`);
      this.#mayChangeHome(call);
      await this.#index.enter(sent.runtime, "home");
      await this.#home.remember({ ...this.#home.record, ...this.#highest(call), owner: sent });
      return this.#shown();
    });
  }

  /** With all of its snapshots. @param {Record<string, unknown>} call */
  removeHome(call) {
    return this.#alone(async () => {
      this.#mayChangeHome(call);
      await this.#instance.end(0);
      if (this.#record) await this.#remember({ ...this.#record, ...this.#highest(call), wanted: "stopped" });
      await this.#home.forget();
      await this.#index.leave(String(call.runtime), "home");
      if (!this.#record) await this.#vanish();
      return this.#shown();
    });
  }

  async snapshots() {
    return { snapshots: (await this.#home.all()).map(shownSnapshot) };
  }

  /** @param {Record<string, unknown>} call */
  take(call) {
    return this.#changeHome(call, async () => {
      this.#saves = true;
      try {
        return shownSnapshot(await this.#home.take(call, this.#instance.container));
      } finally {
        this.#saves = false;
      }
    });
  }

  /** @param {Record<string, unknown>} call */
  drop(call) {
    return this.#changeHome(call, async () => {
      await this.#home.drop(call.key);
      return {};
    });
  }

  /** @param {Record<string, unknown>} call */
  restore(call) {
    return this.#changeHome(call, async () => {
      if (this.#instance.runs) throw new Refusal("bad_request", "the runtime runs, so its home is not exchanged");
      await this.#home.restore(call.key);
      return {};
    });
  }

  /** A write of what there is. @param {Record<string, unknown>} call @param {() => Promise<unknown>} change */
  #changeHome(call, change) {
    return this.#alone(async () => {
      this.#mayChange(call);
      if (this.#home.record) await this.#home.remember({ ...this.#home.record, ...this.#highest(call) });
      return change();
    });
  }

  // What another runtime's files are read out of: this object has a container for that and nothing else.

  /** @param {Disk} disk @param {string} instance */
  lend(disk, instance) {
    return this.#carrier.lend(disk, instance);
  }

  giveBack() {
    return this.#carrier.giveBack();
  }

  state() {
    return this.#shown();
  }

  // Traffic.

  /** @param {Request} request @returns {Promise<Response>} */
  async fetch(request) {
    const requestId = request.headers.get("x-pilot-request-id") ?? `req-${crypto.randomUUID()}`;
    try {
      return await forward(request, this.#instance, this.#record, this.#saves);
    } catch (error) {
      const refusal = error instanceof Refusal ? error : unreachable(error);
      return problem(refusal, requestId);
    }
  }

  async alarm() {
    await this.#alone(async () => {
      if (this.#record?.wanted !== "running") return this.#renew();
      const moved = this.#wasMoved();
      // Before anything that may fail: it is tried again then.
      if (moved || this.#instance.runs) await this.ctx.storage.setAlarm(Date.now() + ALARM_MS);
      if (this.#record.machine && this.#instance.runs && this.#home.isOld) await this.#save();
      if (moved) await this.#start();
    });
  }

  // The container.

  /** An instance ends with 0 only when it is told to. If we did not, the platform did. */
  #wasMoved() {
    const isMissing = this.#record?.wanted === "running" && !this.#instance.runs;
    return isMissing && (this.#record?.exitCode ?? 0) === 0;
  }

  /** @param {Record<string, unknown>} [call] that wants it; none does when the platform ended it */
  async #start(call = {}) {
    const { exitCode: _, ...record } = this.#known(call);
    await this.#remember({ ...record, ...this.#highest(call), wanted: "running" });
    await this.ctx.storage.setAlarm(Date.now() + ALARM_MS);
    try {
      if (!this.#instance.runs) {
        const from = record.machine ? await this.#prepare(record.machine) : {};
        /** @type {BootFiles} */
        const boot = (await this.ctx.storage.get("boot")) ?? {};
        const env = { ...record.env, PILOT_BOOT_FILES: JSON.stringify(boot) };
        this.#instance.start({ ...from, env, enableInternet: true });
        await this.#instance.container.setInactivityTimeout?.(INACTIVITY_MS);
      }
      await this.#instance.untilItAnswers();
    } catch (error) {
      throw await this.#isLost(error);
    }
    if (record.machine) await this.#home.began(record.machine);
  }

  /** Brings the files to the image that is wanted, and says what `start()` is given. @param {import("./home.js").Machine} machine */
  async #prepare(machine) {
    if (!this.#home.record) throw new Refusal("home_gone", "the runtime has no home");
    const carrier = this.env.RUNTIMES.get(this.env.RUNTIMES.idFromName(`files of ${this.ctx.id}`));
    await this.#home.move(machine, this.#instance.container, carrier);
    return begins(machine, this.#home.record.disk);
  }

  /** What nobody has the files of is no runtime any more. @param {unknown} error */
  async #isLost(error) {
    const why = await this.#home.missing(error);
    if (why?.code !== "home_gone") return why ?? error;
    const { runtime } = this.#known({}).owner;
    this.#record = undefined;
    await this.#home.forget();
    for (const what of /** @type {const} */ (["runtime", "home"])) await this.#index.leave(runtime, what);
    await this.#vanish();
    return why;
  }

  /** Where there is a home, what runs is saved: its disk ends with it. */
  async #save() {
    if (!this.#record?.machine || !this.#home.record || !this.#instance.runs) return;
    this.#saves = true;
    try {
      await this.#home.save(this.#instance.container);
    } finally {
      this.#saves = false;
    }
  }

  /** Saves, and ends. @param {number} graceMs */
  async #rest(graceMs) {
    await this.#save();
    await this.#instance.end(graceMs);
  }

  /** What does not run is begun with from time to time, so that Cloudflare keeps it. */
  async #keepForLong() {
    const at = this.#instance.runs ? undefined : this.#home.renewedAt;
    if (at !== undefined) await this.ctx.storage.setAlarm(at);
  }

  async #renew() {
    if (this.#instance.runs) return;
    try {
      await this.#home.renew(this.#instance, this.#record?.machine?.instance ?? "lite");
    } finally {
      await this.#keepForLong();
    }
  }

  async #vanish() {
    await this.ctx.storage.deleteAlarm();
    await this.ctx.storage.deleteAll();
  }

  /** Of the container. @param {number | undefined} code */
  async #noticed(code) {
    if (!this.#record) return;
    await this.#remember({ ...this.#record, exitCode: code });
    if (this.#wasMoved()) await this.ctx.storage.setAlarm(Date.now() + MOVED_MS);
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

  /** The highest fence that was seen, of whatever there is. */
  get #fence() {
    return highest(this.#record, this.#home.record ?? {});
  }

  /** @param {Record<string, unknown>} call */
  #highest(call) {
    return highest(this.#fence, call);
  }

  /** @param {Record<string, unknown>} call */
  #mayChange(call) {
    const known = this.#record ?? this.#home.record;
    if (known) mayChange({ owner: known.owner, ...this.#fence }, call);
  }

  /** @param {Record<string, unknown>} call */
  #mayChangeHome(call) {
    const known = this.#home.record ?? this.#record;
    if (known) mayChange({ owner: known.owner, ...this.#fence }, call);
  }

  #shown() {
    const { owner: home, disk } = this.#home.record ?? {};
    const kept = home && { home: { ...home, ...(disk ? { savedAt: disk.at } : {}) } };
    if (!this.#record) return { status: "absent", ...kept };
    const { owner: labels, spec, exitCode: code } = this.#record;
    const running = this.#instance.runs;
    return { ...labels, ...kept, spec, status: running ? "running" : "stopped", ...(running || code === undefined ? {} : { exitCode: code }) };
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
