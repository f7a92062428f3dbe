// The container of an object: its end is noticed, its answers are seen, and it is ended.

import { exitCode, platformRefusal } from "./platform.js";
import { Refusal } from "./problem.js";

/** @import { Platform } from "./platform.js" */

/** How long a start may take until the instance answers; a cold start takes 1 to 3 seconds. */
const START_LIMIT_MS = 25_000;
/** Something may accept a connection before the instance listens, and then never answer on it. */
const PROBE_LIMIT_MS = 800;
const PROBE_PAUSE_MS = 50;

const SIGTERM = 15;

export const PORTS = { backend: 3000, opencode: 4096 };

/** @typedef {{ code: number | undefined, error: unknown }} End */

/** @param {number} ms */
export const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

export class Instance {
  #ctx;
  #noticed;
  /** Resolves when the running container has ended. @type {Promise<End> | undefined} */
  #ended;
  /** It was seen answering since its container started. */
  answers = false;

  /**
   * @param {DurableObjectState} ctx
   * @param {(end: End) => Promise<void>} noticed
   */
  constructor(ctx, noticed) {
    this.#ctx = ctx;
    this.#noticed = noticed;
  }

  /** @returns {Platform} */
  get container() {
    const { container } = this.#ctx;
    if (!container) throw new Refusal("provider_failed", "this Worker has no container application");
    return /** @type {Platform} */ (/** @type {unknown} */ (container));
  }

  get runs() {
    return this.container.running;
  }

  /** @param {Record<string, unknown>} options */
  start(options) {
    this.container.start(options);
    this.watch();
  }

  /** Notices the container's end. Without this, `running` would stay true after it. */
  watch() {
    this.answers = false;
    const ended = this.container.monitor().then(
      () => ({ code: 0, error: undefined }),
      (/** @type {unknown} */ error) => ({ code: exitCode(error), error }),
    );
    this.#ended = ended.then(async (end) => {
      this.answers = false;
      await this.#noticed(end);
      return end;
    });
    this.#ctx.waitUntil(this.#ended);
  }

  /** @param {number} graceMs */
  async end(graceMs) {
    const { container } = this;
    if (container.running && graceMs > 0) {
      container.signal(SIGTERM);
      await Promise.race([this.#ended, pause(graceMs)]);
    }
    if (container.running) await container.destroy();
    await this.#ended;
    this.#ended = undefined;
  }

  /** An instance that is still booting after the limit counts as started; its state tells the rest. */
  async untilItAnswers() {
    const deadline = Date.now() + START_LIMIT_MS;
    while (Date.now() < deadline) {
      if (!this.runs) {
        const end = await this.#ended;
        if (end?.code === undefined) throw platformRefusal(end?.error ?? "the container did not start");
        throw new Refusal("instance_failed", `the container ended with exit code ${end.code}`, { exitCode: end.code });
      }
      if (await this.probe()) return;
      await pause(PROBE_PAUSE_MS);
    }
  }

  async probe() {
    try {
      const signal = AbortSignal.timeout(PROBE_LIMIT_MS);
      const answer = await this.container.getTcpPort(PORTS.backend).fetch("http://instance/health", { signal });
      await answer.body?.cancel();
      this.answers = true;
    } catch {
      this.answers = false;
    }
    return this.answers;
  }
}
