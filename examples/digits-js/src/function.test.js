import assert from "node:assert/strict";
import { test } from "node:test";

import { call, withModel } from "samara-sdk/testing";

import read from "./function.js";

const alwaysThree = ({ pixels }) => {
  assert.deepEqual(pixels.shape.slice(1), [1, 8, 8]);
  const row = Array.from({ length: 10 }, (_, digit) => (digit === 3 ? 0.7 : 0.1));
  return { probabilities: Array(pixels.shape[0]).fill(row) };
};

test("the likeliest digit is answered", () => {
  const drawing = ["@\n".repeat(8), " \n".repeat(8)];
  const { digit } = withModel("digits", alwaysThree, () => call(read, { drawing }));
  assert.deepEqual(digit.toArray(), [3n, 3n]);
});

test("what is no drawing is refused", () => {
  for (const [drawing, words] of [
    ["@", /8 lines/],
    ["x\n".repeat(8), /"x" is no ink/],
    ["123456789\n".repeat(8), /8 lines/],
  ]) {
    assert.throws(() => call(read, { drawing: [drawing] }), words);
  }
});
