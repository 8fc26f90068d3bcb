/** Values as JSON text in documented forms (docs/values.md), within the service's limits. */

/** Most bytes of one JSON value: `MAX_JSON_BYTES` in docs/limits.md. */
export const MAX_JSON_BYTES = 524_288;
/** Most levels of nesting of one JSON value: `MAX_JSON_DEPTH`. */
export const MAX_JSON_DEPTH = 200;
/** Characters of the preview of a value that is too large: `PREVIEW_CHARACTERS`. */
export const PREVIEW_CHARACTERS = 1000;
/** Characters and levels after which a value is not written further. */
const WRITTEN_CHARACTERS = 8_388_608;
const WRITTEN_LEVELS = 100_000;
const VALUE_CHARACTERS = 8;
/** Most bits of a BigInt: those of 4,300 decimal digits. */
const BIGINT_BITS = 14_284;

const ENCODER = new TextEncoder();

/** Relation of a text to its value: `OutputKind` of the API. */
export type Kind = "JSON" | "UNDEFINED" | "CONVERTED" | "TRUNCATED" | "UNSERIALIZABLE" | "REDACTED";

/** JSON as text, ready to be put into a request. */
export class JsonText {
  readonly text: string;
  readonly kind: Kind;
  readonly bytes: number;

  constructor(text: string, kind: Kind, bytes = byteLength(text)) {
    this.text = text;
    this.kind = kind;
    this.bytes = bytes;
  }

  /** The size and the first characters, for a value that is too large to be recorded. */
  truncated(): JsonText {
    const { bytes } = this;
    // A pair of surrogates is one character, as in Python.
    const start = Array.from(this.text.slice(0, 2 * PREVIEW_CHARACTERS));
    const preview = start.slice(0, PREVIEW_CHARACTERS).join("");
    return new JsonText(JSON.stringify({ truncated: true, bytes, preview }), "TRUNCATED");
  }
}

/** The value of a sensitive step, which is not recorded. */
export const REDACTED = new JsonText("null", "REDACTED");

/**
 * The JSON text of a value as it is now, without later changes. Never throws.
 *
 * The writer keeps its own stack and stops at a limit: a value may be nested thousands of levels
 * deep, contain itself, or repeat a part so often that its text would be endless.
 */
export function snapshot(value: unknown): JsonText {
  if (value === undefined) return new JsonText("null", "UNDEFINED");
  try {
    return new Writer().write(value);
  } catch {
    // It contains itself, or code of its own throws.
    return new JsonText(JSON.stringify(new StandIn(value)), "UNSERIALIZABLE");
  }
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
    // Without a kind, null clears the output.
    if (name === "output" && value instanceof JsonText) parts.push(`"outputKind":"${value.kind}"`);
  }
  return `{${parts.join(",")}}`;
}

/** The form of a value that JSON cannot express. */
class StandIn {
  readonly unserializable: string;

  constructor(value: unknown) {
    this.unserializable = Object.prototype.toString.call(value).slice(8, -1);
  }
}

/** An object or a list that is being written; a list has no names. */
class Container {
  next = 0;
  isEmpty = true;
  readonly source: object;
  readonly values: ArrayLike<unknown>;
  readonly names: readonly string[] | undefined;

  constructor(source: object, values: ArrayLike<unknown>, names?: readonly string[]) {
    this.source = source;
    this.values = values;
    this.names = names;
  }
}

class Writer {
  readonly #pieces: string[] = [];
  // The characters of the pieces, and what is counted like them.
  #length = 0;
  readonly #open: Container[] = [];
  // The sources of what is open.
  readonly #sources = new Set<object>();
  #isConverted = false;
  #isDeep = false;

  write(root: unknown): JsonText {
    const value = this.#convert(root, "");
    if (value instanceof StandIn) return new JsonText(JSON.stringify(value), "UNSERIALIZABLE");
    this.#add(value ?? null);
    let container: Container | undefined;
    while ((container = this.#open.at(-1)) && !this.#isOverLimit) this.#continue(container);
    const json = new JsonText(this.#pieces.join(""), this.#isConverted ? "CONVERTED" : "JSON");
    const isWhole = !container && !this.#isDeep && json.bytes <= MAX_JSON_BYTES;
    return isWhole ? json : json.truncated();
  }

  get #isOverLimit(): boolean {
    return this.#length > WRITTEN_CHARACTERS || this.#open.length > WRITTEN_LEVELS;
  }

  // Write the next value of the innermost container, or its end.
  #continue(container: Container): void {
    const { source, values, names } = container;
    const number = container.next++;
    if (number === values.length) {
      this.#open.pop();
      this.#sources.delete(source);
      return this.#push(names ? "}" : "]");
    }
    const name = names?.[number];
    const value = this.#convert(values[number], name ?? String(number));
    if (value === undefined && name !== undefined) {
      // As in JSON.stringify, such a member is left out.
      this.#length += VALUE_CHARACTERS;
      return;
    }
    if (!container.isEmpty) this.#push(",");
    container.isEmpty = false;
    if (name !== undefined) this.#push(`${quoted(name)}:`);
    if (value === undefined) this.#isConverted = true;
    this.#add(value ?? null);
  }

  // Write a converted value, or open it.
  #add(value: {} | null): void {
    // Any value takes as long as a text of some characters.
    this.#length += VALUE_CHARACTERS;
    if (typeof value === "string") return this.#push(quoted(value));
    if (value === null || typeof value !== "object") return this.#push(String(value));
    const container = containerOf(value);
    if (this.#sources.has(container.source)) throw new TypeError("The value contains itself.");
    this.#sources.add(container.source);
    this.#open.push(container);
    this.#isDeep ||= this.#open.length > MAX_JSON_DEPTH;
    this.#push(container.names ? "{" : "[");
  }

  #push(text: string): void {
    this.#pieces.push(text);
    this.#length += text.length;
  }

  /**
   * The value that is written in place of a value: an atom, an object, a list, or a Container.
   * `name` is its name in its container, and `isJson` is true for the result of a `toJSON`.
   */
  #convert(value: any, name: string, isJson = false): any {
    switch (typeof value) {
      case "string":
      case "boolean":
      case "undefined":
        return value;
      case "number":
        return Number.isFinite(value) ? value : this.#converted(null);
      case "bigint":
        // The time for a longer one may grow with the square of its length.
        if (BigInt.asIntN(BIGINT_BITS + 1, value) !== value) break;
        return this.#converted(value.toString());
      case "object":
        if (value === null || Array.isArray(value)) return value;
        return this.#convertObject(value, name, isJson);
      default:
    }
    return this.#converted(new StandIn(value));
  }

  #convertObject(value: any, name: string, isJson: boolean): any {
    if (value instanceof Map) {
      const names: unknown[] = [...value.keys()];
      if (names.every((key) => typeof key === "string"))
        return this.#converted(new Container(value, [...value.values()], names));
      return this.#converted(new Container(value, [...value]));
    }
    if (value instanceof Set) return this.#converted(new Container(value, [...value]));
    if (value instanceof Error)
      return this.#converted({ name: `${value.name}`, message: `${value.message}` });
    if (value instanceof ArrayBuffer || ArrayBuffer.isView(value))
      return this.#converted({ bytes: value.byteLength });
    if (value instanceof ReadableStream) return this.#converted({ stream: true });
    if (value instanceof RegExp) return this.#converted(new StandIn(value));
    if (value instanceof Number || value instanceof String || value instanceof Boolean)
      return this.#converted(this.#convert(value.valueOf(), name));
    if (isJson || typeof value.toJSON !== "function") return value;
    return this.#converted(this.#convert(value.toJSON(name), name, true));
  }

  #converted<T>(value: T): T {
    this.#isConverted = true;
    return value;
  }
}

function quoted(text: string): string {
  return JSON.stringify(text.slice(0, WRITTEN_CHARACTERS + 1));
}

function containerOf(value: object): Container {
  if (value instanceof Container) return value;
  if (Array.isArray(value)) return new Container(value, value);
  return new Container(value, Object.values(value), Object.keys(value));
}
