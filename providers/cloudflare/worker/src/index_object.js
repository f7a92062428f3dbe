// The one object that knows which runtimes and homes there are, and which control calls were seen. What is entered is entered
// before it exists and leaves when nothing of it is left, so the list is never short of one.

import { DurableObject } from "cloudflare:workers";

/** @import { What } from "./record.js" */

/** @type {Record<What, string>} */
const TABLES = { runtime: "runtimes", home: "homes" };

/** @extends {DurableObject<unknown>} */
export class Index extends DurableObject {
  /** @param {DurableObjectState} ctx @param {unknown} env */
  constructor(ctx, env) {
    super(ctx, env);
    for (const table of Object.values(TABLES)) {
      ctx.storage.sql.exec(`CREATE TABLE IF NOT EXISTS ${table} (id TEXT PRIMARY KEY)`);
    }
    ctx.storage.sql.exec("CREATE TABLE IF NOT EXISTS nonces (nonce TEXT PRIMARY KEY, expires INTEGER)");
  }

  /**
   * False when a call with this nonce was seen before.
   * @param {string} nonce
   * @param {number} expires seconds
   * @param {number} now seconds
   */
  admit(nonce, expires, now) {
    const { sql } = this.ctx.storage;
    sql.exec("DELETE FROM nonces WHERE expires < ?", now);
    return sql.exec("INSERT OR IGNORE INTO nonces VALUES (?, ?)", nonce, expires).rowsWritten > 0;
  }

  /** @param {string} id @param {What} what */
  enter(id, what) {
    this.ctx.storage.sql.exec(`INSERT OR IGNORE INTO ${TABLES[what]} VALUES (?)`, id);
  }

  /** @param {string} id @param {What} what */
  leave(id, what) {
    this.ctx.storage.sql.exec(`DELETE FROM ${TABLES[what]} WHERE id = ?`, id);
  }

  /** @returns {{ runtimes: string[], homes: string[] }} */
  list() {
    return { runtimes: this.#all("runtime"), homes: this.#all("home") };
  }

  /** @param {What} what */
  #all(what) {
    const rows = this.ctx.storage.sql.exec(`SELECT id FROM ${TABLES[what]} ORDER BY id`).toArray();
    return rows.map((row) => String(row.id));
  }
}
