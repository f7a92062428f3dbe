import assert from "node:assert/strict";
import { test } from "node:test";

import { begins, Home, isOver, machine } from "../src/home.js";

const DAY = 24 * 60 * 60_000;
const DISK = { id: "d", size: 1, image: "i", at: 0, used: 5 * DAY };

/** As much of an object's storage as a home uses. */
function storage() {
  /** @type {Map<string, any>} */
  const all = new Map();
  return {
    get: async (/** @type {string} */ key) => structuredClone(all.get(key)),
    put: async (/** @type {string} */ key, /** @type {unknown} */ value) => void all.set(key, structuredClone(value)),
    delete: async (/** @type {string | string[]} */ keys) => [keys].flat().forEach((key) => all.delete(key)),
    list: async ({ prefix = "" }) => new Map([...all].filter(([key]) => key.startsWith(prefix))),
  };
}

/** @param {string[]} said what is asked of it */
function container(said) {
  let number = 0;
  return /** @type {any} */ ({
    running: true,
    exec: async (/** @type {string[]} */ command) => {
      said.push(command.join(" "));
      return { exitCode: Promise.resolve(0) };
    },
    snapshotContainer: async () => {
      said.push("snapshot");
      return { id: `s${++number}`, size: 7 };
    },
  });
}

async function home() {
  const home = new Home(/** @type {any} */ ({ storage: storage() }));
  await home.remember({ owner: { installation: "in-1", runtime: "rt-1", generation: 1 }, base: "i" });
  return home;
}

test("a start is given an image or a snapshot and never both", () => {
  assert.deepEqual(begins({ image: "i", instance: "lite" }, undefined), { image: "i", instance: "lite" });
  assert.deepEqual(begins({ image: "i", instance: "lite" }, DISK), { containerSnapshot: { id: "d" }, instance: "lite" });
  assert.equal(machine(undefined), undefined);
  assert.throws(() => machine({ image: "i" }), { code: "bad_request" });
});

test("files are over 30 days after their last use, and used again before that", async () => {
  assert.equal(isOver(DISK, 35 * DAY), false);
  assert.equal(isOver(DISK, 35 * DAY + 1), true);
  const kept = await home();
  assert.equal(kept.renewedAt, undefined);
  await kept.remember({ .../** @type {any} */ (kept.record), disk: DISK });
  assert.equal(kept.renewedAt, 25 * DAY);
});

test("everything stands still while files are saved, and goes on when that fails", async () => {
  const [kept, said] = [await home(), /** @type {string[]} */ ([])];
  const box = container(said);
  const disk = await kept.save(box);
  assert.deepEqual(said, ["sh -c kill -STOP -1", "snapshot", "sh -c kill -CONT -1"]);
  assert.deepEqual([disk.id, disk.image, kept.record?.disk?.id], ["s1", "i", "s1"]);
  box.snapshotContainer = async () => {
    throw new Error("no");
  };
  await assert.rejects(kept.save(box), { code: "provider_failed" });
  assert.equal(said.at(-1), "sh -c kill -CONT -1");
  assert.equal(kept.record?.disk?.id, "s1", "what was saved before is what a start begins with");
});

test("a key is taken once, and what is restored is what the next start begins with", async () => {
  const kept = await home();
  const box = container([]);
  const first = await kept.take({ key: "one", name: "n" }, box);
  assert.deepEqual(await kept.take({ key: "one" }, box), first);
  await kept.take({ key: "two" }, box);
  assert.deepEqual((await kept.all()).map(({ key }) => key), ["two", "one"]);
  await kept.restore("one");
  assert.equal(kept.record?.disk?.id, first.disk.id);
  await assert.rejects(kept.restore("three"), { code: "snapshot_not_found" });
  await kept.drop("one");
  await assert.rejects(kept.restore("one"), { code: "snapshot_not_found" });
  await assert.rejects(kept.take({ key: "Not One" }, box), { code: "bad_request" });
});

test("a snapshot that Cloudflare has no more is no reason to lose what was there before it was restored", async () => {
  const kept = await home();
  const box = container([]);
  await kept.take({ key: "one" }, box);
  const now = await kept.save(box);
  await kept.restore("one");
  await kept.restore("one");
  const missing = new Error("snapshot not found");
  assert.equal(await kept.missing(new Error("the snapshot service is busy")), undefined);
  assert.equal((await kept.missing(missing))?.code, "snapshot_not_found");
  assert.equal(kept.record?.disk?.id, now.id);
  // Nor is there anything else then, as long as its time is not over.
  assert.match(String(await kept.missing(missing)), /what was saved at .*snapshot not found/);
  assert.equal(kept.record?.disk?.id, now.id);
  await kept.remember({ .../** @type {any} */ (kept.record), disk: { ...now, used: 0 } });
  assert.equal((await kept.missing(missing))?.code, "home_gone");
});

test("what was restored is all that there is once it has begun", async () => {
  const kept = await home();
  await kept.take({ key: "one" }, container([]));
  await kept.save(container([]));
  await kept.restore("one");
  await kept.began({ image: "i", instance: "lite" });
  assert.equal(kept.record?.former, undefined);
});
