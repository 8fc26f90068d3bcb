/** The log of the tracking. */

/** Write a warning. Messages never contain keys. */
export function warn(message: string): void {
  console.warn(`[flowflare] ${message}`);
}
