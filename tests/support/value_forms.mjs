// The table of values and their forms (see value_forms.py), as tests of a writer of values.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import test from "node:test";
import { fileURLToPath } from "node:url";
import { VALUES } from "./values.mjs";

/** @type {{ name: string, javascript: string | null, kind: string, form?: any }[]} */
const CASES = JSON.parse(
  readFileSync(fileURLToPath(`${import.meta.url}/../value_forms.json`), "utf8"),
);

/**
 * Define the tests of a function that writes a value as JSON text.
 * @param {(value: unknown) => { text: string, kind: string }} write
 */
export function testWriter(write) {
  for (const { name, javascript, kind, form } of CASES) {
    if (javascript === null) continue;
    test(`${name}`, () => {
      const value = new Function(`return (${javascript});`)();
      const found = write(value);
      assert.equal(found.kind, kind);
      const json = JSON.parse(found.text);
      if (kind !== "TRUNCATED") {
        assert.deepEqual(json, form === undefined ? value : form);
        return;
      }
      const { preview, ...rest } = json;
      assert.deepEqual({ ...rest, preview: preview.slice(0, form.preview.length) }, form);
      assert.equal([...preview].length, Math.min(form.bytes, VALUES.previewCharacters));
    });
  }

  test(`code of the value that throws`, () => {
    const error = () => {
      throw new Error("no");
    };
    for (const value of [
      { toJSON: error },
      Object.defineProperty({}, "a", { get: error, enumerable: true }),
    ]) {
      assert.deepEqual(JSON.parse(write(value).text), { unserializable: "Object" });
    }
  });

  test(`the result of a toJSON is converted once`, () => {
    const json = { toJSON: () => ({ n: 1n, toJSON: 1 }) };
    assert.deepEqual(JSON.parse(write([json]).text), [{ n: "1", toJSON: 1 }]);
    const own = { a: 1, toJSON: () => own };
    assert.deepEqual(JSON.parse(write(own).text), { a: 1, toJSON: { unserializable: "Function" } });
  });

  test(`a value that is endless in JSON takes a bounded time`, () => {
    /** @type {unknown[]} */
    let doubled = [];
    for (let level = 0; level < 100; level++) doubled = [doubled, doubled];
    let nested = /** @type {unknown} */ (1);
    for (let level = 0; level < 1_000_000; level++) nested = [nested];
    const empty = Object.fromEntries(Array.from({ length: 100_000 }, (_, n) => [n, undefined]));
    const long = "x".repeat(1_000_000);
    for (const value of [
      doubled,
      nested,
      new Array(100_000).fill(empty),
      new Array(100_000).fill(long),
      "x".repeat(100_000_000),
      new Array(4_000_000_000),
    ]) {
      const started = performance.now();
      const { text, kind } = write(value);
      assert.equal(kind, "TRUNCATED");
      assert.ok(JSON.parse(text).preview.length <= VALUES.previewCharacters);
      assert.ok(performance.now() - started < 5000);
    }
  });
}
