// The home of a runtime where an account keeps file systems (the scheduling policy `durable_object`): the snapshot that
// the next start begins with, and those that people have taken. A snapshot is of one image, and Cloudflare removes it
// 30 days after it was last begun with.

import { pause } from "./instance.js";
import { problemOfPlatform } from "./platform.js";
import { Refusal } from "./problem.js";

/** @import { Owner } from "./record.js" */
/** @import { Instance } from "./instance.js" */
/** @import { Platform } from "./platform.js" */

/**
 * A file system that a container can begin with.
 * @typedef {object} Disk
 * @property {string} id
 * @property {number} size in bytes
 * @property {string} image what it is of
 * @property {number} at when the files were so, in milliseconds
 * @property {number} used when it was last begun with
 */

/** What a container is started with. @typedef {{ image: string, instance: string }} Machine */

/**
 * @typedef {object} Kept
 * @property {string} key
 * @property {string} [name] for people
 * @property {number} created
 * @property {Disk} disk
 */

/**
 * @typedef {object} HomeRecord
 * @property {Owner} owner
 * @property {number} [fence]
 * @property {string} [base] the image of what ran last
 * @property {Disk} [disk] without one, nothing was saved yet
 * @property {Disk} [former] what it was before something was restored, until that has begun
 */

const DAY_MS = 24 * 60 * 60_000;
/** After its last use. */
const ENDS_MS = 30 * DAY_MS;
const RENEWED_MS = 20 * DAY_MS;
/** What runs is saved so often, because the platform may end it without a word. */
const SAVED_MS = 15 * 60_000;
/** Each try lets it stand still for a moment, so one that failed is not repeated at once. */
const AGAIN_MS = 5 * 60_000;

/** What begins has begun by then. */
const RENEWAL_MS = 20_000;

const HOME = "/home/pilot";
const KEY = /^[a-z0-9-]{1,40}$/;
const KEPT = "snapshot:";
/** How Cloudflare says that there is no such snapshot; of one that is over, any word about it will do. */
const MISSING = /snapshot.*(not found|no longer|not exist|expired)/i;
/** There while an instance stands still. */
const STILL = "still";

/** @param {Disk} disk @param {number} now */
export const isOver = (disk, now) => now > disk.used + ENDS_MS;

/** @param {Kept} kept */
export const shownSnapshot = ({ key, name, created, disk }) => ({ key, name, created, size: disk.size, until: disk.used + ENDS_MS });

/**
 * What `start()` is given: an image for a new file system, and nothing but the snapshot for one that there is.
 * @param {Machine} machine
 * @param {Disk | undefined} disk
 */
export function begins({ image, instance }, disk) {
  return disk === undefined ? { image, instance } : { containerSnapshot: { id: disk.id }, instance };
}

/** @param {unknown} value @returns {Machine | undefined} */
export function machine(value) {
  if (value === undefined || value === null) return undefined;
  const { image, instance } = /** @type {Record<string, unknown>} */ (value);
  if (typeof image !== "string" || typeof instance !== "string") {
    throw new Refusal("bad_request", "a machine has an image and an instance");
  }
  return { image, instance };
}

export class Home {
  #ctx;
  /** When a renewal was tried. */
  #tried = 0;
  /** When a save failed last. */
  #failed = 0;
  /** @type {HomeRecord | undefined} */
  record;

  /** @param {DurableObjectState} ctx */
  constructor(ctx) {
    this.#ctx = ctx;
  }

  get #storage() {
    return this.#ctx.storage;
  }

  /** @param {Platform} container */
  async load(container) {
    this.record = await this.#storage.get("home");
    if (container.running && (await this.#storage.get(STILL))) this.#ctx.waitUntil(this.#goOn(container));
  }

  /** @param {HomeRecord} record */
  async remember(record) {
    this.record = record;
    await this.#storage.put("home", record);
  }

  async forget() {
    this.record = undefined;
    const keys = (await this.all()).map(({ key }) => KEPT + key);
    await this.#storage.delete(["home", ...keys]);
  }

  get #known() {
    if (!this.record) throw new Refusal("home_gone", "the runtime has no home");
    return this.record;
  }

  /** What the next start begins with is from now on what is there now. @param {Platform} container */
  async save(container) {
    const { former: _, ...record } = this.#known;
    const image = String(record.base);
    const { id, size } = await this.#still(container, () => container.snapshotContainer({ name: "home" }));
    const now = Date.now();
    const disk = { id, size, image, at: now, used: now };
    await this.remember({ ...record, disk });
    return disk;
  }

  /** Whether what runs was not saved for a while. */
  get isOld() {
    const next = Math.max((this.record?.disk?.at ?? 0) + SAVED_MS, this.#failed + AGAIN_MS);
    return this.record !== undefined && Date.now() > next;
  }

  /** What runs was begun with this. @param {Machine} machine */
  async began(machine) {
    const { disk, former: _, ...record } = this.#known;
    const used = disk && { ...disk, used: Date.now() };
    await this.remember({ ...record, base: disk?.image ?? machine.image, ...(used ? { disk: used } : {}) });
  }

  /** When what does not run is begun with, for its time to begin anew. @returns {number | undefined} */
  get renewedAt() {
    const { disk } = this.record ?? {};
    return disk && Math.max(disk.used, this.#tried) + (this.#tried > disk.used ? DAY_MS : RENEWED_MS);
  }

  /** Begins with what is saved, and ends it. @param {Instance} instance @param {string} size */
  async renew(instance, size) {
    const { disk } = this.record ?? {};
    if (!disk || Date.now() < Number(this.renewedAt)) return;
    this.#tried = Date.now();
    instance.start({ ...begins({ image: disk.image, instance: size }, disk), entrypoint: IDLE, enableInternet: false });
    await pause(RENEWAL_MS);
    const begun = instance.runs;
    await instance.end(0);
    if (begun) await this.remember({ ...this.#known, disk: { ...disk, used: Date.now() } });
  }

  /** All processes but the first stand still for a moment, so that no file changes meanwhile. @template T @param {Platform} container @param {() => Promise<T>} act */
  async #still(container, act) {
    await this.#storage.put(STILL, true);
    try {
      await signalAll(container, "STOP");
      return await act();
    } catch (error) {
      this.#failed = Date.now();
      throw new Refusal("provider_failed", `the files could not be saved: ${problemOfPlatform(error)}`);
    } finally {
      await this.#goOn(container);
    }
  }

  /** @param {Platform} container */
  async #goOn(container) {
    await signalAll(container, "CONT");
    await this.#storage.delete(STILL);
  }

  // Snapshots that people take.

  /** @returns {Promise<Kept[]>} the newest first */
  async all() {
    const all = await this.#storage.list({ prefix: KEPT });
    const kept = /** @type {Kept[]} */ ([...all.values()]);
    return kept.sort((one, other) => other.created - one.created);
  }

  /** Finds the one with this key, or keeps what is there now under it. @param {Record<string, unknown>} call @param {Platform} container */
  async take({ key, name }, container) {
    if (typeof key !== "string" || !KEY.test(key)) throw new Refusal("bad_request", "a snapshot has a key");
    const before = await this.#storage.get(KEPT + key);
    if (before) return /** @type {Kept} */ (before);
    const disk = container.running ? await this.save(container) : this.#known.disk;
    if (!disk) throw new Refusal("workspace_not_ready", "nothing ran in it yet, so there are no files");
    // Later than the one before, also within a millisecond.
    const created = Math.max(Date.now(), ((await this.all())[0]?.created ?? 0) + 1);
    /** @type {Kept} */
    const kept = { key, created, disk, ...(typeof name === "string" ? { name } : {}) };
    await this.#storage.put(KEPT + key, kept);
    return kept;
  }

  /** Cloudflare has no call that removes its files: they are there until their time is over. @param {unknown} key */
  async drop(key) {
    await this.#storage.delete(KEPT + String(key));
  }

  /** The next start begins with it. @param {unknown} key */
  async restore(key) {
    /** @type {Kept | undefined} */
    const kept = await this.#storage.get(KEPT + String(key));
    if (!kept || isOver(kept.disk, Date.now())) throw new Refusal("snapshot_not_found", `there is no snapshot ${key}`);
    const { disk, former = disk, ...record } = this.#known;
    await this.remember({ ...record, disk: kept.disk, ...(former ? { former } : {}) });
  }

  /**
   * Why nothing begins, where Cloudflare has the files of this start no more. What was restored makes way for what was there before.
   * @param {unknown} error
   * @returns {Promise<Refusal | undefined>} `home_gone` where nobody has the files
   */
  async missing(error) {
    const { disk, former, ...record } = this.record ?? {};
    const isGone = disk && isOver(disk, Date.now());
    if (!disk || !(isGone ? /snapshot/i : MISSING).test(String(error))) return undefined;
    if (former) {
      await this.remember({ .../** @type {HomeRecord} */ (record), disk: former });
      return new Refusal("snapshot_not_found", "Cloudflare has the snapshot no more: the files are as before it was restored");
    }
    if (isGone) return new Refusal("home_gone", "Cloudflare has removed the files: nothing ran in the home for 30 days");
    const [saved, why] = [new Date(disk.at).toISOString(), problemOfPlatform(error)];
    return new Refusal("snapshot_not_found", `Cloudflare cannot begin with what was saved at ${saved}: ${why}`);
  }

  /**
   * A snapshot is of its image for ever. So the files, and nothing else of it, are brought into a container of the other image,
   * and that is saved; until it is, what was saved before stays what a start begins with.
   * @param {Machine} machine
   * @param {Platform} container
   * @param {{ lend(disk: Disk, instance: string): Promise<ReadableStream>, giveBack(): Promise<void> }} lender
   */
  async move(machine, container, lender) {
    const { disk } = this.#known;
    if (!disk || disk.image === machine.image) return;
    try {
      const files = await lender.lend(disk, machine.instance);
      container.start({ ...begins(machine, undefined), entrypoint: IDLE, enableInternet: false });
      const ended = container.monitor().catch(() => {});
      const unpack = await container.exec(["tar", "-C", HOME, "-xpf", "-"], { stdin: files });
      const code = await unpack.exitCode;
      await lender.giveBack();
      if (code !== 0) throw new Error(`tar ended with ${code}`);
      const { id, size } = await container.snapshotContainer({ name: "home" });
      await container.destroy();
      await ended;
      await this.remember({ ...this.#known, disk: { ...disk, id, size, image: machine.image, used: Date.now() } });
    } catch (error) {
      await lender.giveBack().catch(() => {});
      if (container.running) await container.destroy();
      throw new Refusal("provider_failed", `the files could not be moved to the other image: ${problemOfPlatform(error)}`);
    }
  }
}

/** A container that does nothing for an hour. */
export const IDLE = ["sleep", "3600"];

/** The files of a home as they are read out of a container. @param {Platform} container */
export const pack = (container) => container.exec(["tar", "-C", HOME, "-cf", "-", "."]);

/** An image without a shell is saved while it runs. @param {Platform} container @param {"STOP" | "CONT"} name */
async function signalAll(container, name) {
  try {
    const said = await container.exec(["sh", "-c", `kill -${name} -1`]);
    await said.exitCode;
  } catch {
    // It ended meanwhile, or cannot be asked.
  }
}
