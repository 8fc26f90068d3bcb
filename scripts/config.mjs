// Translates wrangler.jsonc and the staged build to options of miniflare's Node API.
//
// wrangler can do this too, but loading wrangler takes longer than starting the whole server.
// tests/scripts/test_config.py compares the two.

import { readdirSync, readFileSync, existsSync } from "node:fs";
import { dirname, extname, join, relative, resolve, sep } from "node:path";
import { fileURLToPath } from "node:url";
import JSON5 from "json5";

export const ROOT = resolve(dirname(fileURLToPath(import.meta.url)), "..");

/** A flag that only local runtimes accept; it selects the bundle that scripts/bundle.py makes. */
export const DEVELOPMENT_FLAG = "python_workers_development";

/** @typedef {Record<string, any>} Config */
/** @typedef {"PythonModule" | "ESModule" | "Data"} ModuleType */
/** @typedef {{ type: ModuleType, path: string, contents: string | Uint8Array }} Module */

/** Folders that contain packages instead of modules of the Worker. */
const PACKAGE_FOLDERS = ["node_modules", "python_modules"];

/** @type {Record<string, ModuleType>} */
const MODULE_TYPES = { ".py": "PythonModule", ".mjs": "ESModule" };

/**
 * The wrangler.jsonc of the service, or of a Worker in another folder.
 * @param {string} [folder]
 * @returns {Config}
 */
export function readConfig(folder = ROOT) {
  return JSON5.parse(readFileSync(join(folder, "wrangler.jsonc"), "utf8"));
}

/**
 * Read `.dev.vars`: lines NAME=value with optional quotes, and # comments.
 * @param {string} [folder]
 * @returns {Record<string, string>}
 */
export function readDevVars(folder = ROOT) {
  const path = join(folder, ".dev.vars");
  /** @type {Record<string, string>} */
  const vars = {};
  if (!existsSync(path)) return vars;
  for (const line of readFileSync(path, "utf8").split("\n")) {
    const match = /^\s*(?:export\s+)?([A-Za-z_]\w*)\s*=\s*(.*?)\s*$/.exec(line);
    if (!match) continue;
    const [, name, value] = match;
    const quoted = /^(["'`])(.*)\1$/.exec(value);
    vars[name] = quoted ? quoted[2] : value.replace(/\s+#.*$/, "");
  }
  return vars;
}

/**
 * @param {string} folder
 * @returns {Generator<string>} absolute paths of all files below
 */
function* filesBelow(folder) {
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name);
    if (entry.name.startsWith(".") || entry.name === "__pycache__") continue;
    if (PACKAGE_FOLDERS.includes(entry.name)) continue;
    if (entry.isDirectory()) yield* filesBelow(path);
    else yield path;
  }
}

/**
 * @param {string} path
 * @returns {string} with forward slashes
 */
const posix = (path) => path.split(sep).join("/");

/**
 * Read a Python Worker's modules: the entry first, then the others, then the vendored packages.
 * @param {string} main the entry, absolute
 * @returns {Module[]}
 */
export function readModules(main) {
  const root = dirname(main);
  /** @type {Module[]} */
  const modules = [{ type: "PythonModule", path: main, contents: readFileSync(main, "utf8") }];
  for (const path of filesBelow(root)) {
    if (path === main || posix(relative(root, path)).startsWith("public/")) continue;
    const type = MODULE_TYPES[extname(path)];
    if (type) modules.push({ type, path, contents: readFileSync(path, "utf8") });
  }
  return [...modules, ...readVendored(root)];
}

/**
 * Read `python_modules/`. As in wrangler, files are data, except the SDK's JavaScript.
 * @param {string} root the folder of the entry
 * @returns {Module[]}
 */
export function readVendored(root) {
  return readPackages(join(ROOT, "python_modules"), root);
}

/**
 * Read the packages of a folder in the form of `readVendored`.
 * @param {string} folder with the packages
 * @param {string} root the folder of the entry
 * @returns {Module[]}
 */
export function readPackages(folder, root) {
  if (!existsSync(folder)) return [];
  return [...filesBelow(folder)].map((file) => {
    const name = posix(relative(folder, file));
    const isScript = name.startsWith("workers/") && [".js", ".mjs"].includes(extname(name));
    return {
      type: isScript ? "ESModule" : "Data",
      path: join(root, "python_modules", name),
      contents: isScript ? readFileSync(file, "utf8") : new Uint8Array(readFileSync(file)),
    };
  });
}

/**
 * Translate everything except the code: bindings, vars, assets and triggers.
 * @param {Config} config
 * @param {Record<string, string>} vars on top of the configuration's own
 * @returns {Config}
 */
export function readBindings(config, vars) {
  const sqlite = new Set(
    (config.migrations ?? []).flatMap((/** @type {Config} */ m) => m.new_sqlite_classes ?? []),
  );
  /** @type {Config} */
  const options = {
    name: config.name,
    compatibilityDate: config.compatibility_date,
    compatibilityFlags: config.compatibility_flags ?? [],
    bindings: { ...config.vars, ...vars },
    cronTriggers: config.triggers?.crons,
    d1Databases: {},
    durableObjects: {},
    serviceBindings: {},
    workflows: {},
  };
  for (const { binding, database_id, preview_database_id } of config.d1_databases ?? []) {
    options.d1Databases[binding] = { id: preview_database_id ?? database_id ?? binding };
  }
  for (const { name, class_name } of config.durable_objects?.bindings ?? []) {
    options.durableObjects[name] = { className: class_name, useSQLite: sqlite.has(class_name) };
  }
  for (const { binding, service, entrypoint } of config.services ?? []) {
    options.serviceBindings[binding] = { name: service, ...(entrypoint && { entrypoint }) };
  }
  for (const { binding, name, class_name, script_name } of config.workflows ?? []) {
    const elsewhere = script_name && script_name !== config.name;
    options.workflows[binding] = {
      name,
      className: class_name,
      ...(elsewhere && { scriptName: script_name }),
    };
  }
  if (config.assets) {
    const { directory, binding, run_worker_first, html_handling, not_found_handling } =
      config.assets;
    options.assets = {
      directory: join(ROOT, directory),
      binding,
      run_worker_first,
      routerConfig: {
        has_user_worker: true,
        ...(typeof run_worker_first === "boolean" && {
          invoke_user_worker_ahead_of_assets: run_worker_first,
        }),
        ...(Array.isArray(run_worker_first) && {
          static_routing: {
            user_worker: run_worker_first.filter((/** @type {string} */ rule) => rule[0] !== "!"),
            asset_worker: run_worker_first
              .filter((/** @type {string} */ rule) => rule[0] === "!")
              .map((/** @type {string} */ rule) => rule.slice(1)),
          },
        }),
      },
      assetConfig: { html_handling, not_found_handling },
    };
  }
  return options;
}

/**
 * Read the service as a Worker for `convertV4MiniflareOptions`, with the development flag.
 * @param {Record<string, string>} vars
 * @param {Config} [config]
 * @returns {any} because miniflare's types do not allow options that are built step by step
 */
export function readWorker(vars, config = readConfig()) {
  const main = join(ROOT, config.main);
  const options = readBindings(config, vars);
  options.compatibilityFlags = [...options.compatibilityFlags, DEVELOPMENT_FLAG];
  return { ...options, rootPath: ROOT, modulesRoot: dirname(main), modules: readModules(main) };
}
