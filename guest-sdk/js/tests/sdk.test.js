import assert from "node:assert/strict";
import { test } from "node:test";

import * as samara from "../src/index.js";
import { halfBits, halfValue } from "../src/halves.js";
import { call, withModel } from "../src/testing.js";

const { BF16, BOOL, BYTES, ErrorKind, FP16, FP32, INT64, INT8, Tensor, UINT8 } = samara;

test("shapes come from nesting", () => {
  const tensor = Tensor.of([[1, 2, 3], [4, 5, 6]]);
  assert.equal(String(tensor), "FP32[2, 3]");
  assert.deepEqual(tensor.toArray(), [[1, 2, 3], [4, 5, 6]]);
});

test("datatypes come from values", () => {
  for (const [values, { datatype }] of [
    [[1n, 2n], INT64],
    [[true], BOOL],
    [["a"], BYTES],
    [[1, 2.5], FP32],
    [new Int8Array(2), INT8],
  ]) {
    assert.equal(Tensor.of(values).datatype, datatype);
  }
});

test("empty axes keep their shape", () => {
  assert.deepEqual(new Tensor(FP32, [2, 0], new Uint8Array()).toArray(), [[], []]);
  assert.deepEqual(Tensor.of([], FP32).shape, [0]);
});

test("ragged rows are refused", () => {
  assert.throws(() => Tensor.of([[1, 2], [3]]), /index 1/);
});

test("values that do not fit are named", () => {
  for (const [values, kind, words] of [
    [[1, 300], UINT8, /300 is no UINT8/],
    [["a"], INT8, /"a" is no INT8/],
    [[0.5], INT64, /0.5 is no INT64/],
    [[2n ** 63n], INT64, /is no INT64/],
    [[2], BOOL, /2 is no BOOL/],
  ]) {
    assert.throws(() => Tensor.of(values, kind), words);
  }
});

test("texts and bytes", () => {
  const tensor = Tensor.of(["", "Grüße", new Uint8Array([255])], BYTES);
  assert.deepEqual(tensor.values()[2], new Uint8Array([255]));
  assert.throws(() => tensor.texts(), { kind: ErrorKind.INVALID_INPUT });
});

test("lengths of bytes are not trusted", () => {
  for (const bytes of [[1], [5, 0, 0, 0, 97]]) {
    assert.throws(() => new Tensor(BYTES, [1], Uint8Array.from(bytes)).values(), /ends before/);
  }
});

test("every FP16 comes back, and others round to the nearest", () => {
  for (let bits = 0; bits < 0x10000; bits += 1) {
    const value = halfValue(bits);
    assert.ok(Number.isNaN(value) ? Number.isNaN(halfValue(halfBits(value))) : halfBits(value) === bits, `${bits}`);
  }
  assert.deepEqual(Tensor.of([1 / 3, 65519.9, 65520], FP16).toArray(), [0.333251953125, 65504, Infinity]);
  assert.deepEqual(Tensor.of([1 + 2 ** -8, 1 + 3 * 2 ** -8], BF16).toArray(), [1, 1.015625]);
});

test("the length must fit the shape", () => {
  assert.throws(() => new Tensor(FP32, [2], new Uint8Array(4)), /4 bytes are no FP32/);
});

test("outputs are as declared, or named", () => {
  const declared = (returned) => samara.function({ inputs: {}, outputs: { y: FP32(1) } }, () => returned);
  assert.deepEqual(call(declared({ y: 1 }), {}).y.toArray(), [1]);
  assert.throws(() => call(declared({ z: 1 }), {}), /`z`/);
  assert.throws(() => call(declared({}), {}), /`y` was not returned/);
  assert.throws(() => call(declared({ y: [1, 2] }), {}), /FP32\[2\] is not the FP32\[1\]/);
  assert.throws(() => call(declared(Promise.resolve()), {}), /no promise/);
});

test("a stand-in answers for a model", () => {
  const double = ({ x }) => ({ y: x.values().map((value) => 2 * value) });
  withModel("double", double, () => {
    assert.deepEqual(samara.model("double").run({ x: [1, 2] }).y.toArray(), [2, 4]);
    assert.throws(() => samara.model("triple"), { kind: ErrorKind.NOT_FOUND });
  });
  assert.throws(() => samara.model("double"), /there is no samara here/);
});
