// Finds the workerd processes of a process and reads their memory, on Linux only.

import { existsSync, readFileSync, readdirSync } from "node:fs";

const KIB = 1024;

export const HAS_PROC = existsSync("/proc/self/status");

/**
 * Read a line of /proc/PID/status; undefined if the process has ended.
 * @param {number | string} pid
 * @param {string} name
 */
function status(pid, name) {
  try {
    const text = readFileSync(`/proc/${pid}/status`, "utf8");
    return new RegExp(`^${name}:\\s*(.*)$`, "m").exec(text)?.[1];
  } catch {
    return undefined;
  }
}

/**
 * @param {number} [parent] this process by default
 * @returns {number[]} process ids; empty if there is no /proc
 */
export function workerdProcesses(parent = process.pid) {
  if (!HAS_PROC) return [];
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .filter((pid) => status(pid, "PPid") === String(parent))
    .filter((pid) => status(pid, "Name") === "workerd")
    .map(Number);
}

/**
 * @param {number} pid
 * @returns {number} resident bytes
 */
export function residentBytes(pid) {
  const resident = status(pid, "VmRSS");
  if (!resident) throw new Error(`Process ${pid} has ended.`);
  return parseInt(resident) * KIB;
}
