// Measures texts. JSON is measured before Python parses it: its parser recurses, and on WebAssembly
// running out of stack ends the process. Python's own count (json_text.py) takes a second for what
// this does in milliseconds.

const QUOTE = 0x22;
const COMMA = 0x2c;
const OPEN_LIST = 0x5b;
const BACKSLASH = 0x5c;
const CLOSE_LIST = 0x5d;
const OPEN_OBJECT = 0x7b;
const CLOSE_OBJECT = 0x7d;

/**
 * True if a text has more bytes of UTF-8 than it may have.
 * @param {string} text
 * @param {number} maxBytes
 */
export function isLonger(text, maxBytes) {
  // One UTF-16 unit is at most three bytes of UTF-8, so most texts need not be encoded.
  if (text.length * 3 <= maxBytes) return false;
  return text.length > maxBytes || new TextEncoder().encode(text).byteLength > maxBytes;
}

/**
 * @typedef {object} JsonLimits
 * @property {number} depth of nested objects and lists
 * @property {number} values counted as opening brackets and commas
 */

/**
 * Name the limit that JSON text exceeds: TOO_DEEP, TOO_MANY_VALUES, or "" for none. Text that is not
 * JSON is measured all the same.
 * @param {string} text
 * @param {JsonLimits} limits
 */
export function excessOf(text, { depth: maxDepth, values: maxValues }) {
  let depth = 0;
  let values = 0;
  let isString = false;
  for (let index = 0; index < text.length; index += 1) {
    const code = text.charCodeAt(index);
    if (isString) {
      if (code === BACKSLASH) index += 1;
      else if (code === QUOTE) isString = false;
    } else if (code === QUOTE) isString = true;
    else if (code === OPEN_LIST || code === OPEN_OBJECT) {
      depth += 1;
      values += 1;
      if (depth > maxDepth) return "TOO_DEEP";
    } else if (code === CLOSE_LIST || code === CLOSE_OBJECT) depth -= 1;
    else if (code === COMMA) values += 1;
    if (values > maxValues) return "TOO_MANY_VALUES";
  }
  return "";
}
