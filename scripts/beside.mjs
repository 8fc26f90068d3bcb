// Other Workers in the same workerd as the service, each from a folder with a wrangler.jsonc.
//
// Their service bindings reach the service by its name, and the service is bound to their
// Workflows, so that `startWorkflow` runs them. A deployment needs the same bindings in the
// service's wrangler.jsonc: see docs/development.md.

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

/** The supported keys of wrangler.jsonc. Any other key would be ignored silently. */
const SUPPORTED_KEYS = [
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

/**
 * esbuild's options for a Worker as one module.
 * @satisfies {import("esbuild").BuildOptions}
 */
export const BUNDLE_OPTIONS = {
  bundle: true,
  write: /** @type {const} */ (false),
  format: /** @type {const} */ ("esm"),
  target: "es2024",
  conditions: ["workerd", "worker", "browser"],
  mainFields: ["browser", "module", "main"],
};

/** @typedef {import("./config.mjs").Config} Config */
/** @typedef {import("./config.mjs").Module} Module */
/** @typedef {{ folder: string, config: Config, worker: any }} Beside */

/**
 * Read the Worker of a folder, including its code.
 * @param {string} folder absolute
 * @returns {Promise<Beside>} `worker` in the form of `readWorker`
 */
export async function readBeside(folder) {
  const shown = relative(process.cwd(), folder) || ".";
  if (!existsSync(join(folder, "wrangler.jsonc"))) {
    throw new Error(`${shown} has no wrangler.jsonc. Name the folder of a Worker.`);
  }
  const config = readConfig(folder);
  const unsupported = Object.keys(config).filter((key) => !SUPPORTED_KEYS.includes(key));
  if (unsupported.length > 0) {
    throw new Error(
      `${shown}/wrangler.jsonc: ${unsupported.join(", ")} cannot run here. Remove these keys.`,
    );
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
 * Bind the Workflows that `others` define to the service, under the same names, unless they are.
 * @param {any} service
 * @param {any[]} others
 */
export function bindWorkflows(service, others) {
  if (others.length === 0) return;
  const { WORKFLOWS: known = {} } = service.bindings;
  const names = { ...(typeof known === "string" ? JSON.parse(known) : known) };
  const workers = new Set([service.name]);
  for (const other of others) {
    if (workers.has(other.name)) {
      throw new Error(`Two Workers are named ${other.name}. Change one name in wrangler.jsonc.`);
    }
    workers.add(other.name);
    for (const [binding, workflow] of Object.entries(other.workflows)) {
      if (workflow.scriptName || isBound(service, other.name, workflow)) continue;
      if (binding in service.workflows || workflow.name in names) {
        throw new Error(
          `${other.name}: the service has a Workflow ${binding} or ${workflow.name} already. ` +
            "Use another binding and name.",
        );
      }
      service.workflows[binding] = { ...workflow, scriptName: other.name };
      names[workflow.name] = binding;
    }
  }
  service.bindings.WORKFLOWS = names;
}

/**
 * True if the service's own configuration binds a Workflow of another Worker.
 * @param {any} service
 * @param {string} scriptName
 * @param {{ name: string, className: string }} workflow
 */
function isBound(service, scriptName, { name, className }) {
  return Object.values(service.workflows).some(
    (/** @type {any} */ known) =>
      known.scriptName === scriptName && known.name === name && known.className === className,
  );
}

/**
 * Read the modules of a Python Worker: its code, this project's packages and Python client, and
 * its own packages in `python_modules` next to `main`.
 * @param {string} main
 * @returns {Module[]}
 */
function readPython(main) {
  const root = dirname(main);
  const own = readPackages(join(root, "python_modules"), root);
  const client = readPackages(join(ROOT, "clients", "python", "src"), root);
  // If two files have the same path, the last one is used.
  const modules = [...readModules(main), ...client, ...own];
  return [...new Map(modules.map((module) => [module.path, module])).values()];
}

/**
 * Bundle a JavaScript or TypeScript Worker into one module.
 * @param {string} main
 * @returns {Promise<Module>}
 */
async function bundle(main) {
  const { build } = await import("esbuild");
  const { outputFiles } = await build({
    ...BUNDLE_OPTIONS,
    entryPoints: [main],
    external: ["cloudflare:*", "node:*"],
    alias: { "@flowflare/client": join(ROOT, "clients", "typescript", "src") },
    nodePaths: [join(ROOT, "node_modules")],
    // Names of errors are recorded, so they must be those of the source.
    keepNames: true,
    logLevel: "silent",
  });
  const path = join(dirname(main), "bundle.mjs");
  return { type: "ESModule", path, contents: outputFiles[0].text };
}
