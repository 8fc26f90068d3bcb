/** Durations as Cloudflare Workflows writes them, and the delays between attempts. */

import type { Backoff } from "./statuses.ts";

const UNITS_MS: ReadonlyMap<string, number> = new Map([
  ["second", 1000],
  ["minute", 60_000],
  ["hour", 3_600_000],
  ["day", 86_400_000],
  ["week", 604_800_000],
  ["month", 2_592_000_000],
  ["year", 31_557_600_000],
]);

/** Milliseconds of `5000`, `"5 seconds"` or `"1 hour"`; undefined for any other value. */
export function milliseconds(duration: unknown): number | undefined {
  if (typeof duration === "number") return Number.isFinite(duration) ? duration : undefined;
  if (typeof duration !== "string") return undefined;
  if (duration.trim() !== "" && !Number.isNaN(Number(duration))) return Number(duration);
  const [, amount, unit = ""] = /^(\S+) +([a-z]+?)s?$/.exec(duration) ?? [];
  const factor = UNITS_MS.get(unit);
  const value = Number(amount) * (factor ?? Number.NaN);
  return Number.isFinite(value) ? value : undefined;
}

/** Milliseconds from the failure of an attempt (counted from 1) to the next one. */
export function retryDelay(attempt: number, delayMs: number, backoff: Backoff): number {
  if (backoff === "EXPONENTIAL") return delayMs * 2 ** (attempt - 1);
  return backoff === "LINEAR" ? delayMs * attempt : delayMs;
}

/** Date and time in the API's format; undefined outside the years that RFC 3339 covers. */
export function timestamp(atMs: number): string | undefined {
  const date = new Date(atMs);
  // Years after 9999 have six digits, which RFC 3339 does not allow.
  return Number.isNaN(date.valueOf()) || date.getUTCFullYear() > 9999
    ? undefined
    : date.toISOString();
}
