// What a runtime does by itself, at its alarms, on a clock that the tests move.

import assert from "node:assert/strict";
import { register } from "node:module";
import { mock, test } from "node:test";

// Outside Cloudflare there is no such module.
const stub = "data:text/javascript,export class DurableObject { constructor(ctx, env) { this.ctx = ctx; this.env = env; } }";
const hook = `export const resolve = (name, context, next) =>
  name === "cloudflare:workers" ? { url: ${JSON.stringify(stub)}, shortCircuit: true } : next(name, context);`;
register(`data:text/javascript,${encodeURIComponent(hook)}`);
const { Runtime } = await import("../src/runtime.js");

const MINUTE = 60_000;
const DAY = 24 * 60 * MINUTE;
const OWNER = { installation: "in-1", runtime: "rt-1", generation: 1 };

/** An object with as much of its storage and its container as it uses. */
class Machine {
  /** @type {Map<string, any>} */
  stored = new Map();
  /** @type {number | undefined} */
  alarm;
  /** What containers were started with. @type {any[]} */
  started = [];
  saved = 0;
  tried = 0;
  saves = true;
  begins = true;
  refuses = false;
  /** @type {any} */
  #ended;

  container = {
    running: false,
    start: (/** @type {any} */ options) => {
      this.started.push(options);
      if (this.refuses) throw new Error("there is no container instance that can be provided");
      this.container.running = this.begins;
      this.ended = new Promise((resolve) => (this.#ended = resolve));
      if (!this.begins) this.#ended();
    },
    monitor: () => this.ended,
    destroy: async () => this.container.signal(),
    signal: () => {
      this.container.running = false;
      this.#ended();
    },
    getTcpPort: () => ({ fetch: async () => new Response("") }),
    exec: async () => ({ exitCode: Promise.resolve(0) }),
    snapshotContainer: async () => {
      this.tried += 1;
      if (!this.saves) throw new Error("no snapshots today");
      return { id: `s${++this.saved}`, size: 7 };
    },
  };

  storage = {
    get: async (/** @type {string} */ key) => structuredClone(this.stored.get(key)),
    put: async (/** @type {string} */ key, /** @type {unknown} */ value) => void this.stored.set(key, structuredClone(value)),
    delete: async (/** @type {string | string[]} */ keys) => [keys].flat().forEach((key) => this.stored.delete(key)),
    list: async ({ prefix = "" }) => new Map([...this.stored].filter(([key]) => key.startsWith(prefix))),
    setAlarm: async (/** @type {number} */ at) => void (this.alarm = at),
    deleteAlarm: async () => void (this.alarm = undefined),
    deleteAll: async () => this.stored.clear(),
  };

  constructor() {
    const { storage, container } = this;
    const index = { get: () => ({ enter: async () => {}, leave: async () => {} }), idFromName: () => "index" };
    const carrier = { get: () => ({ lend: async () => {}, giveBack: async () => {} }), idFromName: () => "carrier" };
    const ctx = { storage, container, id: "object", waitUntil: () => {}, blockConcurrencyWhile: (/** @type {any} */ load) => load() };
    this.runtime = new Runtime(/** @type {any} */ (ctx), /** @type {any} */ ({ RUNTIMES: carrier, INDEX: index }));
  }

  /** With a home, and running. */
  async begin() {
    assert.equal((await settled(this.runtime.ensureHome(OWNER))).refusal, undefined);
    const call = { ...OWNER, machine: { image: "i", instance: "lite" }, start: true };
    assert.equal((await settled(this.runtime.ensure(call))).status, "running");
    return this;
  }

  /** So much later, with each alarm at its time. @param {number} ms */
  async later(ms) {
    const end = Date.now() + ms;
    while (this.alarm !== undefined && this.alarm <= end) {
      mock.timers.tick(Math.max(0, this.alarm - Date.now()));
      this.alarm = undefined;
      await settled(this.runtime.alarm());
    }
    mock.timers.tick(Math.max(0, end - Date.now()));
  }
}

/** Time goes on while somebody pauses. @param {Promise<any>} work */
async function settled(work) {
  let done = false;
  work.finally(() => (done = true)).catch(() => {});
  while (!done) {
    await new Promise((resolve) => setImmediate(resolve));
    if (!done) mock.timers.tick(10);
  }
  return work;
}

/** @param {(machine: Machine) => Promise<void>} act */
async function onAClock(act) {
  mock.timers.enable({ apis: ["setTimeout", "Date"], now: Date.UTC(2026, 0, 1) });
  try {
    await act(new Machine());
  } finally {
    mock.timers.reset();
  }
}

test("what runs is saved every 15 minutes, also after a save that failed", () =>
  onAClock(async (machine) => {
    await machine.begin();
    await machine.later(MINUTE);
    assert.equal(machine.saved, 1, "what was never saved is saved soon");
    await machine.later(14 * MINUTE);
    assert.equal(machine.saved, 1);
    await machine.later(MINUTE);
    assert.equal(machine.saved, 2);
    await machine.later(60 * MINUTE);
    assert.equal(machine.saved, 5);
    machine.saves = false;
    const before = machine.tried;
    await machine.later(60 * MINUTE);
    const tries = machine.tried - before;
    assert.ok(tries >= 6 && tries <= 12, `${tries}: each lets it stand still`);
    machine.saves = true;
    await machine.later(6 * MINUTE);
    assert.equal(machine.saved, 6, "soon after it can be");
    await machine.later(16 * MINUTE);
    assert.equal(machine.saved, 7);
    assert.equal(machine.started.length, 1, "it ran all the time");
  }));

test("what was stopped is begun with every 20 days for a moment, and again a day after that failed", () =>
  onAClock(async (machine) => {
    await machine.begin();
    await settled(machine.runtime.stop({ ...OWNER, graceMs: 0 }));
    const begun = () => machine.started.length - 1;
    await machine.later(19 * DAY);
    assert.equal(begun(), 0);
    await machine.later(2 * DAY);
    assert.equal(begun(), 1);
    const { containerSnapshot, entrypoint, enableInternet } = machine.started.at(-1);
    assert.deepEqual([containerSnapshot, entrypoint[0], enableInternet], [{ id: "s1" }, "sleep", false]);
    assert.equal(machine.container.running, false);
    await machine.later(18 * DAY);
    assert.equal(begun(), 1);
    machine.begins = false;
    await machine.later(2 * DAY);
    machine.refuses = true;
    await machine.later(2 * DAY);
    const tried = begun();
    assert.ok(tried >= 4 && tried <= 5, `${tried}`);
    [machine.begins, machine.refuses] = [true, false];
    await machine.later(DAY);
    assert.equal(begun(), tried + 1);
    await machine.later(19 * DAY);
    assert.equal(begun(), tried + 1, "that was a use, so its time began anew");
    assert.equal(machine.saved, 1);
  }));
