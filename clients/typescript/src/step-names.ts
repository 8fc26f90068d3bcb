/**
 * Names of steps. The service stores any name, but one that is empty, too long or not printable in
 * a readable form (`step_name` in resolvers/base/names.py). A replay has to find the step again
 * under the stored form.
 */

/** A step of a run is identified by its name and its number among the steps with that name. */
export interface StepName {
  readonly name: string;
  /** From 1, which is the default. */
  readonly occurrence?: number | undefined;
}

/** Most characters of a stored name: `MAX_STEP_NAME` in docs/limits.md. */
const MAX_STEP_NAME = 256;
/** Hexadecimal digits of the checksum. */
const CHECKSUM = 8;
// Control characters, and halves of surrogate pairs.
const UNPRINTABLE = /[\0-\x1f\x7f\ud800-\udfff]/gu;
// White space as Python strips it.
const MARGINS = /^(?:[^\S\ufeff]|\x85)+|(?:[^\S\ufeff]|\x85)+$/g;
const ENCODER = new TextEncoder();

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

/** The name under which the service stores a step: `"load\nrows"` → `"load rows~0f7df41e"`. */
export function storedName(name: string): string {
  const isLong = name.length > MAX_STEP_NAME && [...name].length > MAX_STEP_NAME;
  const printable = name.replaceAll(UNPRINTABLE, " ");
  if (name !== "" && !isLong && printable === name) return name;
  const cut = [...printable].slice(0, MAX_STEP_NAME - 1 - CHECKSUM).join("");
  const checksum = sha256Start(utf8(name)).toString(16).padStart(CHECKSUM, "0");
  return `${cut.replaceAll(MARGINS, "") || "unnamed"}~${checksum}`;
}

// TextEncoder would replace halves of surrogate pairs, so that different names became the same.
function utf8(text: string): Uint8Array {
  if (text.isWellFormed()) return ENCODER.encode(text);
  const bytes: number[] = [];
  for (const character of text) {
    const code = character.codePointAt(0) ?? 0;
    if (code >= 0xd800 && code <= 0xdfff)
      bytes.push(0xe0 | (code >> 12), 0x80 | ((code >> 6) & 0x3f), 0x80 | (code & 0x3f));
    else bytes.push(...ENCODER.encode(character));
  }
  return Uint8Array.from(bytes);
}

/** The first 32 bits of a SHA-256 (FIPS 180-4), which WebCrypto only computes asynchronously. */
function sha256Start(message: Uint8Array): number {
  const primes = firstPrimes(64);
  const constants = Int32Array.from(primes, (prime) => fraction(Math.cbrt(prime)));
  const state = Int32Array.from(primes.slice(0, 8), (prime) => fraction(Math.sqrt(prime)));
  const padded = new Uint8Array(64 * Math.ceil((message.length + 9) / 64));
  padded.set(message);
  padded[message.length] = 0x80;
  const view = new DataView(padded.buffer);
  view.setUint32(padded.length - 4, message.length * 8);
  const words = new Int32Array(64);
  for (let block = 0; block < padded.length; block += 64) {
    let [a = 0, b = 0, c = 0, d = 0, e = 0, f = 0, g = 0, h = 0] = state;
    for (let n = 0; n < 64; n++) {
      const word = n < 16 ? view.getInt32(block + 4 * n) : following(words, n);
      words[n] = word;
      const choice = (e & f) ^ (~e & g);
      const majority = (a & b) ^ (a & c) ^ (b & c);
      const mixed = turned(e, 6) ^ turned(e, 11) ^ turned(e, 25);
      const t1 = (h + mixed + choice + (constants[n] ?? 0) + word) | 0;
      const t2 = (turned(a, 2) ^ turned(a, 13) ^ turned(a, 22)) + majority;
      [a, b, c, d, e, f, g, h] = [(t1 + t2) | 0, a, b, c, (d + t1) | 0, e, f, g];
    }
    for (const [n, value] of [a, b, c, d, e, f, g, h].entries()) state[n] = (state[n] ?? 0) + value;
  }
  return (state[0] ?? 0) >>> 0;
}

/** The word of round `n`, from 16, of the message schedule. */
function following(words: Int32Array, n: number): number {
  const [w15, w2] = [words[n - 15] ?? 0, words[n - 2] ?? 0];
  const s0 = turned(w15, 7) ^ turned(w15, 18) ^ (w15 >>> 3);
  const s1 = turned(w2, 17) ^ turned(w2, 19) ^ (w2 >>> 10);
  return ((words[n - 16] ?? 0) + s0 + (words[n - 7] ?? 0) + s1) | 0;
}

function turned(word: number, bits: number): number {
  return (word >>> bits) | (word << (32 - bits));
}

/** The first 32 bits behind the point. */
function fraction(value: number): number {
  return ((value % 1) * 2 ** 32) | 0;
}

function firstPrimes(count: number): number[] {
  const primes: number[] = [];
  for (let n = 2; primes.length < count; n++)
    if (primes.every((prime) => n % prime !== 0)) primes.push(n);
  return primes;
}
