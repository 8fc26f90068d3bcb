/**
 * Names of steps. The service accepts any text, and stores a name that is empty, too long or not
 * printable in a readable form (`step_name` in resolvers/base/names.py). A replay finds the step
 * again under the stored form.
 */

/** The name and the occurrence that identify a step in its run. */
export interface StepName {
  readonly name: string;
  /** From 1, which is the default. */
  readonly occurrence?: number | undefined;
}

/** Most characters of a stored name: `MAX_STEP_NAME` in docs/limits.md. */
const MAX_STEP_NAME = 256;
const CHECKSUM_DIGITS = 8;
// Control characters, and halves of surrogate pairs.
const UNPRINTABLE = /[\0-\x1f\x7f\ud800-\udfff]/gu;

/** The text of a name; the engine also takes values of other types. */
export function textOf(name: unknown): string {
  try {
    return String(name);
  } catch {
    // An object without a text, which the engine refuses itself.
    return typeof name;
  }
}

/** A text that identifies a step in its run. */
export function stepKey({ name, occurrence = 1 }: StepName): string {
  return `${occurrence} ${storedName(name)}`;
}

/** The name under which the service stores a step: `"load\nrows"` → `"load_rows~e30ba439"`. */
export function storedName(name: string): string {
  const isLong = name.length > MAX_STEP_NAME && [...name].length > MAX_STEP_NAME;
  const printable = name.replaceAll(UNPRINTABLE, "_");
  if (name !== "" && !isLong && printable === name) return name;
  const cut = [...printable].slice(0, MAX_STEP_NAME - 1 - CHECKSUM_DIGITS).join("");
  return `${cut || "unnamed"}~${crc32(name).toString(16).padStart(CHECKSUM_DIGITS, "0")}`;
}

/** The CRC-32 of a text in UTF-16, low bytes first. */
function crc32(text: string): number {
  let crc = -1;
  for (let n = 0; n < text.length; n++) {
    crc ^= text.charCodeAt(n);
    for (let bit = 0; bit < 16; bit++) crc = (crc >>> 1) ^ (crc & 1 ? 0xedb88320 : 0);
  }
  return ~crc >>> 0;
}
