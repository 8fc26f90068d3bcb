// Writes any value of a Workflow as JSON text, in the forms of docs/values.md. The tracking libraries
// write the same (json.ts of the TypeScript package, recording.py of the Python package), and
// tests/support/value_forms.json holds all of them to one table.
//
// The writer keeps its own stack and stops at a limit: a value may be nested thousands of levels deep,
// contain itself, or repeat a part so often that its text would be endless.

/**
 * Relation of a text to its value: words of OutputKind in vocabulary.py.
 * @typedef {"JSON" | "UNDEFINED" | "CONVERTED" | "TRUNCATED" | "UNSERIALIZABLE"} Kind
 *
 * @typedef {object} Limits
 * @property {number} bytes the most bytes of a text
 * @property {number} depth the most levels of a text
 * @property {number} previewCharacters the characters that are kept of a text that exceeds these
 * @property {number} writtenCharacters the characters after which writing stops
 * @property {number} writtenLevels the levels after which writing stops
 * @property {number} bigintBits the most bits of a BigInt
 */

const VALUE_CHARACTERS = 8;

/**
 * Write a value as JSON text of limited size. Nothing is thrown.
 * @param {unknown} value
 * @param {Limits} limits
 * @returns {{ text: string, kind: Kind }}
 */
export function describeValue(value, limits) {
  if (value === undefined) return { text: "null", kind: "UNDEFINED" };
  try {
    return new Writer(limits).write(value);
  } catch {
    // It contains itself, or code of its own throws.
    return { text: JSON.stringify(new StandIn(value)), kind: "UNSERIALIZABLE" };
  }
}

/** The form of a value that JSON cannot express. */
class StandIn {
  /** @param {unknown} value */
  constructor(value) {
    this.unserializable = Object.prototype.toString.call(value).slice(8, -1);
  }
}

/** An object or a list that is being written; a list has no names. */
class Container {
  next = 0;
  isEmpty = true;

  /**
   * @param {object} source
   * @param {ArrayLike<unknown>} values
   * @param {string[]} [names]
   */
  constructor(source, values, names) {
    this.source = source;
    this.values = values;
    this.names = names;
  }
}

class Writer {
  #limits;
  /** @type {string[]} */
  #pieces = [];
  /** The characters of the pieces, and what is counted like them. */
  #length = 0;
  /** @type {Container[]} */
  #open = [];
  /** @type {Set<object>} the sources of what is open */
  #sources = new Set();
  #isConverted = false;
  #isDeep = false;

  /** @param {Limits} limits */
  constructor(limits) {
    this.#limits = limits;
  }

  /**
   * @param {unknown} root
   * @returns {{ text: string, kind: Kind }}
   */
  write(root) {
    const value = this.#convert(root, "");
    if (value instanceof StandIn) return { text: JSON.stringify(value), kind: "UNSERIALIZABLE" };
    this.#add(value ?? null);
    while (this.#open.length > 0 && !this.#isOverLimit) this.#continue();
    const text = this.#pieces.join("");
    const bytes = new TextEncoder().encode(text).length;
    const isWhole = this.#open.length === 0 && !this.#isDeep && bytes <= this.#limits.bytes;
    if (isWhole) return { text, kind: this.#isConverted ? "CONVERTED" : "JSON" };
    // A pair of surrogates is one character, as in Python.
    const start = Array.from(text.slice(0, 2 * this.#limits.previewCharacters));
    const preview = start.slice(0, this.#limits.previewCharacters).join("");
    return { text: JSON.stringify({ truncated: true, bytes, preview }), kind: "TRUNCATED" };
  }

  get #isOverLimit() {
    const { writtenCharacters, writtenLevels } = this.#limits;
    return this.#length > writtenCharacters || this.#open.length > writtenLevels;
  }

  /** Write the next value of the innermost container, or its end. */
  #continue() {
    const container = this.#open[this.#open.length - 1];
    const { source, values, names } = container;
    const number = container.next;
    if (number === values.length) {
      this.#open.pop();
      this.#sources.delete(source);
      return this.#push(names ? "}" : "]");
    }
    container.next += 1;
    const value = this.#convert(values[number], names ? names[number] : String(number));
    if (value === undefined && names) {
      // As in JSON.stringify, such a member is left out.
      this.#length += VALUE_CHARACTERS;
      return;
    }
    if (!container.isEmpty) this.#push(",");
    container.isEmpty = false;
    if (names) this.#push(`${this.#quoted(names[number])}:`);
    if (value === undefined) this.#isConverted = true;
    this.#add(value ?? null);
  }

  /**
   * Write a converted value, or open it.
   * @param {{} | null} value
   */
  #add(value) {
    // Any value takes as long as a text of some characters.
    this.#length += VALUE_CHARACTERS;
    if (typeof value === "string") return this.#push(this.#quoted(value));
    if (value === null || typeof value !== "object") return this.#push(String(value));
    const container = containerOf(value);
    if (this.#sources.has(container.source)) throw new TypeError("The value contains itself.");
    this.#sources.add(container.source);
    this.#open.push(container);
    this.#isDeep ||= this.#open.length > this.#limits.depth;
    this.#push(container.names ? "{" : "[");
  }

  /** @param {string} text */
  #push(text) {
    this.#pieces.push(text);
    this.#length += text.length;
  }

  /** @param {string} text */
  #quoted(text) {
    return JSON.stringify(text.slice(0, this.#limits.writtenCharacters + 1));
  }

  /**
   * The value that is written in place of a value: an atom, an object, a list, or a Container.
   * @param {any} value
   * @param {string} name its name in its container, for `toJSON`
   * @param {boolean} [isJson] true for the result of a `toJSON`
   * @returns {any}
   */
  #convert(value, name, isJson = false) {
    switch (typeof value) {
      case "string":
      case "boolean":
      case "undefined":
        return value;
      case "number":
        return Number.isFinite(value) ? value : this.#converted(null);
      case "bigint":
        // The time for a longer one may grow with the square of its length.
        if (BigInt.asIntN(this.#limits.bigintBits + 1, value) !== value) break;
        return this.#converted(value.toString());
      case "object":
        if (value === null || Array.isArray(value)) return value;
        return this.#convertObject(value, name, isJson);
    }
    return this.#converted(new StandIn(value));
  }

  /**
   * @param {any} value
   * @param {string} name
   * @param {boolean} isJson
   */
  #convertObject(value, name, isJson) {
    if (value instanceof Map) {
      const names = [...value.keys()];
      const isObject = names.every((key) => typeof key === "string");
      const values = [...(isObject ? value.values() : value)];
      return this.#converted(new Container(value, values, isObject ? names : undefined));
    }
    if (value instanceof Set) return this.#converted(new Container(value, [...value]));
    if (value instanceof Error) {
      return this.#converted({ name: `${value.name}`, message: `${value.message}` });
    }
    if (value instanceof ArrayBuffer || ArrayBuffer.isView(value)) {
      return this.#converted({ bytes: value.byteLength });
    }
    if (value instanceof ReadableStream) return this.#converted({ stream: true });
    if (value instanceof RegExp) return this.#converted(new StandIn(value));
    if (value instanceof Number || value instanceof String || value instanceof Boolean) {
      return this.#converted(this.#convert(value.valueOf(), name));
    }
    if (isJson || typeof value.toJSON !== "function") return value;
    return this.#converted(this.#convert(value.toJSON(name), name, true));
  }

  /**
   * @template T
   * @param {T} value
   */
  #converted(value) {
    this.#isConverted = true;
    return value;
  }
}

/** @param {any} value an object, a list or a Container */
function containerOf(value) {
  if (value instanceof Container) return value;
  if (Array.isArray(value)) return new Container(value, value);
  return new Container(value, Object.values(value), Object.keys(value));
}
