// What Cloudflare's `ctx.container` has and this machine's `workerd` has not: images and sizes at a start,
// snapshots of the file system, commands. The simulator's machines do it, asked at `at`.

const START = "SIM_CLOUDFLARE_START";

/**
 * @param {any} ctx of a Durable Object with a container
 * @param {string} at
 */
export function equip(ctx, at) {
  const native = ctx.container;
  if (!native) return;
  const object = ctx.id.toString();
  const ask = async (/** @type {string} */ path, /** @type {RequestInit} */ init) => {
    const answer = await fetch(`${at}/${object}/${path}`, init);
    if (!answer.ok) throw new Error(await answer.text());
    return answer;
  };
  const mustRun = () => {
    if (!native.running) throw new Error("the container is not running");
  };
  const container = {
    get running() {
      return native.running;
    },
    start({ image, containerSnapshot, instance, entrypoint, env, enableInternet } = {}) {
      if (image !== undefined && containerSnapshot !== undefined) {
        throw new TypeError("image and containerSnapshot are mutually exclusive");
      }
      const id = crypto.randomUUID();
      const chosen = JSON.stringify({ id, image, snapshot: containerSnapshot?.id, instance, entrypoint });
      native.start({ enableInternet, env: { ...env, [START]: chosen } });
    },
    monitor: () => native.monitor(),
    destroy: (/** @type {unknown} */ reason) => native.destroy(reason),
    signal: (/** @type {number} */ number) => native.signal(number),
    getTcpPort: (/** @type {number} */ port) => native.getTcpPort(port),
    async setInactivityTimeout() {},
    async snapshotContainer({ name } = {}) {
      mustRun();
      return (await ask("snapshots", { method: "POST", body: JSON.stringify({ name }) })).json();
    },
    async exec(cmd, { stdin, cwd, env, user } = {}) {
      mustRun();
      if (cmd.length === 0) throw new TypeError("the command is empty");
      const id = crypto.randomUUID();
      const call = encodeURIComponent(JSON.stringify({ cmd, cwd, env, user, stdin: stdin !== undefined }));
      const answer = await ask(`exec/${id}?call=${call}`, { method: "POST", body: stdin });
      return {
        stdout: answer.body,
        get exitCode() {
          return ask(`exec/${id}`, {}).then(async (code) => Number(await code.text()));
        },
      };
    },
  };
  Object.defineProperty(ctx, "container", { value: container, configurable: true });
}
