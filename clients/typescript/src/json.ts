/** Values as JSON text, written at once and within the service's limits. */

/** Most bytes of one JSON value: `MAX_JSON_BYTES` in docs/limits.md. */
export const MAX_JSON_BYTES = 524_288;
/** Most levels of nesting of one JSON value: `MAX_JSON_DEPTH`. */
export const MAX_JSON_DEPTH = 200;
/** Characters of the preview of a value that is too large. */
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
 * The JSON text of a value as it is now, without later changes. A value over the limits becomes
 * `{"truncated": true, "bytes": …, "preview": "…"}`. Never throws: a value that JSON cannot express
 * becomes `{"unserializable": "…"}`.
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

/** An object as JSON text; members that are `JsonText` already are inserted as they are. */
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

// A replacer makes JSON.stringify ten times slower, so only values that need it get one.
function written(value: unknown): Written {
  const { isDeep, isPlain } = inspect(value);
  const text = isPlain ? JSON.stringify(value) : JSON.stringify(value, asJson);
  if (text === undefined) return { text: "null", isDeep };
  // A value that is converted, or has a `toJSON`, may be deeper in JSON than the object itself.
  return { text, isDeep: isDeep || (!isPlain && inspect(JSON.parse(text)).isDeep) };
}

/**
 * Find out if a value has too many levels, and if JSON can express all of it. Goes level by level
 * and visits an object once for each level: written out, repeated objects may be endless.
 */
function inspect(root: unknown): { isDeep: boolean; isPlain: boolean } {
  let level = new Map<unknown, Visited>();
  let isPlain = true;
  let count = 0;
  const add = (into: typeof level, value: unknown, times: number) => {
    const entry = into.get(value);
    if (entry) {
      entry.times += times;
      return;
    }
    const json = asJson("", value);
    if (json !== value) isPlain = false;
    if (typeof json === "object" && json !== null) into.set(value, { json, times });
  };
  add(level, root, 1);
  for (let depth = 0; depth < MAX_JSON_DEPTH && level.size > 0; depth++) {
    const following: typeof level = new Map();
    for (const { json, times } of level.values()) {
      count += times;
      if (count > MAX_JSON_BYTES) throw new RangeError("The value is too large.");
      for (const member of Object.values(json)) add(following, member, times);
    }
    level = following;
  }
  return { isDeep: level.size > 0, isPlain };
}

interface Visited {
  readonly json: object;
  times: number;
}

// Conversions of values that the engine can store and JSON cannot.
function asJson(_name: string, value: unknown): unknown {
  if (typeof value === "bigint") return value.toString();
  if (value instanceof Map) return Object.fromEntries(value);
  if (value instanceof Set) return [...value];
  if (value instanceof Error) return { name: value.name, message: value.message };
  if (value instanceof ArrayBuffer || ArrayBuffer.isView(value)) return { bytes: value.byteLength };
  if (value instanceof ReadableStream) return { stream: true };
  return value;
}
