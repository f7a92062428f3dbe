// An object whose container is not a runtime's, but begins with a snapshot of one, so that its files can be read.

import { begins, IDLE, pack } from "./home.js";

/** @import { Disk } from "./home.js" */
/** @import { Instance } from "./instance.js" */
/** @import { Process } from "./platform.js" */

export class Carrier {
  #instance;
  /** @type {Process | undefined} */
  #packing;

  /** @param {Instance} instance */
  constructor(instance) {
    this.#instance = instance;
  }

  /** @param {Disk} disk @param {string} instance @returns {Promise<ReadableStream>} */
  async lend(disk, instance) {
    await this.#instance.end(0);
    const from = begins({ image: disk.image, instance }, disk);
    this.#instance.start({ ...from, entrypoint: IDLE, enableInternet: false });
    this.#packing = await pack(this.#instance.container);
    return this.#packing.stdout;
  }

  /** Throws when not all files were read. */
  async giveBack() {
    const code = (await this.#packing?.exitCode) ?? 0;
    this.#packing = undefined;
    await this.#instance.end(0);
    if (code !== 0) throw new Error(`the files could not be read: tar ended with ${code}`);
  }
}
