/** Values as the service takes them: JSON text, taken at once and within the service's limits. */

/** Most bytes of one JSON value: `MAX_JSON_BYTES` in docs/limits.md. */
export const MAX_JSON_BYTES = 524_288;
/** Most levels of nesting of one JSON value: `MAX_JSON_DEPTH`. */
export const MAX_JSON_DEPTH = 200;
/** Characters of a value's text that are kept where the value itself is too large. */
export const PREVIEW_CHARACTERS = 1000;

const ENCODER = new TextEncoder();

/** JSON as text, ready to be put into a request. */
export class JsonText {
  readonly text: string;
  readonly bytes: number;

  constructor(text: string, bytes = byteLength(text)) {
    this.text = text;
    this.bytes = bytes;
  }

  /** The size and the first characters, for a value that is too large to be recorded. */
  truncated(): JsonText {
    const { bytes } = this;
    const preview = this.text.slice(0, PREVIEW_CHARACTERS);
    return new JsonText(JSON.stringify({ truncated: true, bytes, preview }));
  }
}

/**
 * What a value is now, later changes to it not included. A value over the limits becomes
 * `{"truncated": true, "bytes": …, "preview": "…"}`. Never throws: what is no JSON becomes
 * something that says so.
 */
export function snapshot(value: unknown): JsonText {
  let text: string;
  let isDeep = false;
  try {
    ({ text, isDeep } = written(value));
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    return new JsonText(JSON.stringify({ unserializable: reason.slice(0, PREVIEW_CHARACTERS) }));
  }
  const json = new JsonText(text);
  return json.bytes > MAX_JSON_BYTES || isDeep ? json.truncated() : json;
}

/** Bytes of a text in UTF-8. */
export function byteLength(text: string): number {
  return ENCODER.encode(text).length;
}

/** An object as JSON text; a `JsonText` among its members is put in as it is. */
export function objectText(members: object): string {
  const parts: string[] = [];
  for (const [name, value] of Object.entries(members)) {
    if (value === undefined) continue;
    const text = value instanceof JsonText ? value.text : JSON.stringify(value);
    parts.push(`${JSON.stringify(name)}:${text}`);
  }
  return `{${parts.join(",")}}`;
}

interface Written {
  text: string;
  isDeep: boolean;
}

// A replacer makes JSON.stringify ten times slower, so it is used for what needs it alone.
function written(value: unknown): Written {
  if (typeof value === "bigint" || hasOwnForm(value)) return replaced(value);
  let text: string;
  try {
    text = JSON.stringify(value) ?? "null";
  } catch {
    return replaced(value);
  }
  // It is no cycle, or it would not have been written.
  const { isDeep, isPlain } = look(value, MAX_JSON_DEPTH);
  return isPlain ? { text, isDeep } : replaced(value);
}

function replaced(value: unknown): Written {
  const text = JSON.stringify(value, asJson) ?? "null";
  return { text, isDeep: look(JSON.parse(text), MAX_JSON_DEPTH).isDeep };
}

/** Whether a value has more levels than so many, and whether JSON has a form for all of it. */
function look(value: unknown, levels: number): { isDeep: boolean; isPlain: boolean } {
  if (typeof value !== "object" || value === null) return { isDeep: false, isPlain: true };
  if (levels === 0) return { isDeep: true, isPlain: true };
  if (hasOwnForm(value)) return { isDeep: false, isPlain: false };
  let isDeep = false;
  for (const member of Object.values(value)) {
    const found = look(member, levels - 1);
    if (!found.isPlain) return found;
    isDeep ||= found.isDeep;
  }
  return { isDeep, isPlain: true };
}

// What the engine can store and JSON cannot.
function asJson(_name: string, value: unknown): unknown {
  if (typeof value === "bigint") return value.toString();
  if (value instanceof Map) return Object.fromEntries(value);
  if (value instanceof Set) return [...value];
  if (value instanceof Error) return { name: value.name, message: value.message };
  if (value instanceof ArrayBuffer || ArrayBuffer.isView(value)) return { bytes: value.byteLength };
  if (value instanceof ReadableStream) return { stream: true };
  return value;
}

function hasOwnForm(value: unknown): boolean {
  return asJson("", value) !== value;
}
