// `cloudflare:workers` for modules of the Worker that run in Node. A test sets the bindings in `env`
// and awaits `background()`. Loaded with `node --import`.

import { registerHooks } from "node:module";

/** @type {Record<string, any>} */
export const env = {};
/** @type {Promise<unknown>[]} */
const pending = [];

/** Wait for all that was handed to `waitUntil`, and for what that handed to it in turn. */
export async function background() {
  while (pending.length > 0) await pending.shift();
}

const platform = {
  env,
  waitUntil: (/** @type {Promise<unknown>} */ work) => void pending.push(work),
  RpcTarget: class {},
};
Object.assign(globalThis, { cloudflareWorkers: platform });

registerHooks({
  resolve(specifier, context, next) {
    if (specifier !== "cloudflare:workers") return next(specifier, context);
    return { url: "cloudflare:workers", format: "module", shortCircuit: true };
  },
  load(url, context, next) {
    if (url !== "cloudflare:workers") return next(url, context);
    const source = "export const { env, waitUntil, RpcTarget } = globalThis.cloudflareWorkers;";
    return { format: "module", source, shortCircuit: true };
  },
});
