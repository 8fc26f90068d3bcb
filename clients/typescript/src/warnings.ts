/** The log: one line for what tracking could not do. */

/** Write a warning; keys are never part of one. */
export function warn(message: string): void {
  console.warn(`[flowflare] ${message}`);
}
