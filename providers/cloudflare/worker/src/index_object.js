// The one object that knows which runtimes there are, and which control calls were seen. A runtime is
// entered before it exists and leaves when nothing of it is left, so the list is never short of one.

import { DurableObject } from "cloudflare:workers";

/** @extends {DurableObject<unknown>} */
export class Index extends DurableObject {
  /** @param {DurableObjectState} ctx @param {unknown} env */
  constructor(ctx, env) {
    super(ctx, env);
    ctx.storage.sql.exec("CREATE TABLE IF NOT EXISTS runtimes (id TEXT PRIMARY KEY)");
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

  /** @param {string} id */
  enter(id) {
    this.ctx.storage.sql.exec("INSERT OR IGNORE INTO runtimes VALUES (?)", id);
  }

  /** @param {string} id */
  leave(id) {
    this.ctx.storage.sql.exec("DELETE FROM runtimes WHERE id = ?", id);
  }

  /** @returns {string[]} */
  list() {
    return this.ctx.storage.sql.exec("SELECT id FROM runtimes ORDER BY id").toArray().map((row) => String(row.id));
  }
}
