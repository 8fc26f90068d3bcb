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
  try {
    text = JSON.stringify(value, asJson) ?? "null";
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    return new JsonText(JSON.stringify({ unserializable: reason.slice(0, PREVIEW_CHARACTERS) }));
  }
  const json = new JsonText(text);
  return json.bytes > MAX_JSON_BYTES || depth(text) > MAX_JSON_DEPTH ? json.truncated() : json;
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

/** Levels of nesting of a JSON text. */
function depth(text: string): number {
  let level = 0;
  let deepest = 0;
  for (const [token] of text.matchAll(/"(?:[^"\\]|\\.)*"|[[{]|[\]}]/g)) {
    if (token === "[" || token === "{") deepest = Math.max(deepest, ++level);
    else if (token === "]" || token === "}") level--;
  }
  return deepest;
}
