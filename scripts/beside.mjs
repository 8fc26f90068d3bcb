// Further Workers in the same workerd as the service: a folder with a wrangler.jsonc each.
//
// Their service bindings reach the service by its name, and the service is bound to their
// Workflows, so that `startWorkflow` runs them. Deployed, it takes the same in the service's
// wrangler.jsonc: an entry of `workflows` with `script_name`, and one of the variable WORKFLOWS.

import { existsSync } from "node:fs";
import { dirname, extname, join, relative } from "node:path";
import {
  DEVELOPMENT_FLAG,
  ROOT,
  readBindings,
  readConfig,
  readDevVars,
  readModules,
  readPackages,
} from "./config.mjs";

/** What these Workers may configure; anything else would silently be missing. */
const KNOWN = [
  "$schema",
  "name",
  "main",
  "compatibility_date",
  "compatibility_flags",
  "d1_databases",
  "observability",
  "services",
  "triggers",
  "vars",
  "workflows",
];

/** @typedef {import("./config.mjs").Config} Config */
/** @typedef {import("./config.mjs").Module} Module */
/** @typedef {{ folder: string, config: Config, worker: any }} Beside */

/**
 * The Worker of a folder, its code included.
 * @param {string} folder absolute
 * @returns {Promise<Beside>} `worker` in the form of `readWorker`
 */
export async function readBeside(folder) {
  const shown = relative(process.cwd(), folder) || ".";
  if (!existsSync(join(folder, "wrangler.jsonc"))) {
    throw new Error(`${shown} has no wrangler.jsonc, so it is no Worker to run beside.`);
  }
  const config = readConfig(folder);
  const unknown = Object.keys(config).filter((key) => !KNOWN.includes(key));
  if (unknown.length > 0) {
    throw new Error(`${shown}/wrangler.jsonc: ${unknown.join(", ")} cannot run here.`);
  }
  const main = join(folder, config.main);
  const options = readBindings(config, readDevVars(folder));
  const isPython = extname(main) === ".py";
  if (isPython) options.compatibilityFlags = [...options.compatibilityFlags, DEVELOPMENT_FLAG];
  const modules = isPython ? readPython(main) : [await bundle(main)];
  const worker = { ...options, rootPath: folder, modulesRoot: dirname(main), modules };
  return { folder, config, worker };
}

/**
 * Bind the Workflows that `others` define to the service, under the names they have there.
 * @param {any} service
 * @param {any[]} others
 */
export function bindWorkflows(service, others) {
  if (others.length === 0) return;
  const { WORKFLOWS: known = {} } = service.bindings;
  const names = { ...(typeof known === "string" ? JSON.parse(known) : known) };
  const workers = new Set([service.name]);
  for (const other of others) {
    if (workers.has(other.name)) throw new Error(`There are two Workers named ${other.name}.`);
    workers.add(other.name);
    for (const [binding, workflow] of Object.entries(other.workflows)) {
      if (workflow.scriptName) continue;
      if (binding in service.workflows || workflow.name in names) {
        throw new Error(`${other.name}: the service has a Workflow ${binding} already.`);
      }
      service.workflows[binding] = { ...workflow, scriptName: other.name };
      names[workflow.name] = binding;
    }
  }
  service.bindings.WORKFLOWS = names;
}

/**
 * A Python Worker's modules. Its packages are those of this project, its own in `python_modules`
 * beside `main`, and this project's client.
 * @param {string} main
 * @returns {Module[]}
 */
function readPython(main) {
  const root = dirname(main);
  const own = readPackages(join(root, "python_modules"), root);
  const client = readPackages(join(ROOT, "clients", "python", "src"), root);
  // Of two files in the same place the last counts.
  const modules = [...readModules(main), ...client, ...own];
  return [...new Map(modules.map((module) => [module.path, module])).values()];
}

/**
 * A JavaScript or TypeScript Worker as one module.
 * @param {string} main
 * @returns {Promise<Module>}
 */
async function bundle(main) {
  const { build } = await import("esbuild");
  const { outputFiles } = await build({
    entryPoints: [main],
    bundle: true,
    write: false,
    format: "esm",
    target: "es2024",
    conditions: ["workerd", "worker", "browser"],
    mainFields: ["browser", "module", "main"],
    external: ["cloudflare:*", "node:*"],
    alias: { "@flowflare/client": join(ROOT, "clients", "typescript", "src") },
    nodePaths: [join(ROOT, "node_modules")],
    // The names of errors and functions are recorded, and must be those of the source.
    keepNames: true,
    logLevel: "silent",
  });
  const path = join(dirname(main), "bundle.mjs");
  return { type: "ESModule", path, contents: outputFiles[0].text };
}
