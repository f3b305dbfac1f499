import assert from "node:assert/strict";
import { test } from "node:test";

import { ErrorKind } from "samara-sdk";
import { call } from "samara-sdk/testing";

import standardise from "./function.js";

test("columns are standardised", () => {
  const { standardised, mean } = call(standardise, { rows: [[1, 10], [3, 30]] });
  assert.deepEqual(standardised.toArray(), [[-1, -1], [1, 1]]);
  assert.deepEqual(mean.toArray(), [2, 20]);
});

test("a constant column is only shifted", () => {
  const { standardised } = call(standardise, { rows: [[5], [5]] });
  assert.deepEqual(standardised.toArray(), [[0], [0]]);
});

test("rows of different lengths are refused", () => {
  assert.throws(() => call(standardise, { rows: [[1, 2], [3]] }), { kind: ErrorKind.INVALID_INPUT });
});
