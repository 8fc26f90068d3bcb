import assert from "node:assert/strict";
import test from "node:test";
import { excessOf, isLonger } from "../../../resolvers/runtime/json_text.mjs";

const LIMITS = { depth: 3, values: 10 };

for (const [text, excess] of [
  ["", ""],
  ["[[[1]]]", ""],
  ['{"a":{"b":{}}}', ""],
  ["[[[[1]]]]", "TOO_DEEP"],
  ['[{"a":[{}]}]', "TOO_DEEP"],
  // Not JSON, and measured all the same.
  ["[".repeat(100_000), "TOO_DEEP"],
  ["][][][", ""],
  // Nothing in a string counts, however it is escaped or left open.
  [`["${"[{,".repeat(50)}"]`, ""],
  ['["\\"[[[[\\\\", "[[[["]', ""],
  ['["\\\\", [[[]]]]', "TOO_DEEP"],
  ['"[[[[', ""],
  ['"\\', ""],
  [`[${"1,".repeat(9)}1]`, ""],
  [`[${"1,".repeat(10)}1]`, "TOO_MANY_VALUES"],
  ["[],".repeat(700_000), "TOO_MANY_VALUES"],
]) {
  test(`${text.slice(0, 30)} … of ${text.length} characters: ${excess || "taken"}`, () => {
    assert.equal(excessOf(text, LIMITS), excess);
  });
}

test("a text is measured in bytes of UTF-8", () => {
  for (const [bytes, character] of ["x", "ü", "☃", "😀"].entries()) {
    const text = character.repeat(100);
    assert.equal(isLonger(text, 100 * (bytes + 1)), false, character);
    assert.equal(isLonger(text, 100 * (bytes + 1) - 1), true, character);
  }
});
