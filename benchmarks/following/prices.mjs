// The published prices of what is counted; see docs/costs.md for the pages and their date.

/** @typedef {import("./counting.mjs").Counts} Counts */

/** Dollars per million, beyond what the plan Workers Paid includes. */
const PRICES = {
  rowRead: 0.001,
  rowWritten: 1,
  objectRequest: 0.15,
  gigabyteSecond: 12.5,
};
const MILLION = 1_000_000;
/** An object is billed for 128 MB, whatever it uses. */
const OBJECT_GB = 0.128;
const SECOND_MS = 1_000;

/**
 * Compute what counts cost. Setting an alarm is billed as a row, and an alarm that fires as a request.
 * An object is billed while a history is open, because it then cannot be evicted.
 * @param {Counts} counts
 * @returns {Record<"d1" | "requests" | "rows" | "duration", number>} dollars
 */
export function dollars(counts) {
  const { rowsRead, rowsWritten, requests, alarms, alarmsSet, ownRows, openMs } = counts;
  return {
    d1: (rowsRead * PRICES.rowRead + rowsWritten * PRICES.rowWritten) / MILLION,
    requests: ((requests + alarms) * PRICES.objectRequest) / MILLION,
    rows: ((ownRows + alarmsSet) * PRICES.rowWritten) / MILLION,
    duration: ((openMs / SECOND_MS) * OBJECT_GB * PRICES.gigabyteSecond) / MILLION,
  };
}
