import assert from "node:assert/strict";
import test from "node:test";
import { readBody, skipBody } from "../../../schema/bodies.mjs";

/** @param {object} options Node wants to know that the response does not overlap with the body */
const newRequest = (options) =>
  new Request("http://test/", /** @type {any} */ ({ method: "POST", duplex: "half", ...options }));

const LIMITS = { depth: 3, values: 5 };

/**
 * A request whose body comes in chunks, with or without its length in a header.
 * @param {(string | Uint8Array<ArrayBuffer>)[]} chunks
 * @param {{ length?: number }} [options]
 */
function request(chunks, { length } = {}) {
  const blobs = chunks.map((chunk) =>
    typeof chunk === "string" ? new TextEncoder().encode(chunk) : chunk,
  );
  let taken = 0;
  const body = new ReadableStream({
    pull(controller) {
      if (taken < blobs.length) controller.enqueue(blobs[taken++]);
      else controller.close();
    },
  });
  /** @type {Record<string, string>} */
  const headers = length === undefined ? {} : { "content-length": String(length) };
  const made = newRequest({ body, headers });
  return { made, taken: () => taken };
}

const read = (/** @type {Request} */ made) => readBody(made, 10, LIMITS);

test("a body is read with and without its length", async () => {
  assert.deepEqual(await read(request(["[1,", "2]"], { length: 5 }).made), {
    body: "[1,2]",
    problem: "",
  });
  assert.deepEqual(await read(request(["[1,", "2]"]).made), { body: "[1,2]", problem: "" });
  assert.deepEqual(await read(request([]).made), { body: "", problem: "" });
});

test("a character may be cut by the end of a chunk", async () => {
  const [first, ...rest] = new TextEncoder().encode("é");
  const { made } = request(['"', Uint8Array.of(first), Uint8Array.of(...rest), '"']);
  assert.deepEqual(await read(made), { body: '"é"', problem: "" });
});

test("a body that is too long by its header is not read", async () => {
  const { made, taken } = request(["x".repeat(11)], { length: 11 });
  assert.deepEqual(await read(made), { body: "", problem: "TOO_LARGE" });
  assert.ok(taken() <= 1, "a stream reads one chunk ahead");
});

test("a body of unknown length is read up to the limit", async () => {
  const { made, taken } = request(Array(100).fill("xxxxxx"));
  assert.deepEqual(await read(made), { body: "", problem: "TOO_LARGE" });
  assert.ok(taken() < 10, `${taken()} chunks were read`);
});

test("text that is not UTF-8 is refused, in one part or in several", async () => {
  const bad = Uint8Array.of(0x22, 0xff, 0x22);
  assert.equal((await read(request([bad], { length: 3 }).made)).problem, "NOT_UTF8");
  assert.equal((await read(request([bad]).made)).problem, "NOT_UTF8");
  assert.equal((await read(request([Uint8Array.of(0xc3)]).made)).problem, "NOT_UTF8");
});

test("JSON beyond its limits is refused before it is parsed", async () => {
  assert.equal((await read(request(["[[[[]]]]"]).made)).problem, "TOO_DEEP");
  assert.equal((await read(request(["[,,,,,]"]).made)).problem, "TOO_MANY_VALUES");
});

test("a failure of the connection is not taken for bad text", async () => {
  const body = new ReadableStream({
    pull() {
      throw new RangeError("connection lost");
    },
  });
  const made = newRequest({ body });
  await assert.rejects(read(made), RangeError);
});

test("only a small body is taken from the connection when it is skipped", async () => {
  const small = request(["abc"], { length: 3 });
  assert.deepEqual(await skipBody(small.made, 5), { body: "", problem: "UNREAD" });
  assert.ok(small.made.bodyUsed);
  for (const { made } of [request(["abcdef"], { length: 6 }), request(["abc"])]) {
    assert.deepEqual(await skipBody(made, 5), { body: "", problem: "UNREAD" });
    assert.ok(!made.bodyUsed);
  }
});
