/** What makes a function of JavaScript one of samara's. */

import { TensorSpec } from "./datatype.js";
import { asTensor } from "./tensor.js";

/**
 * Declares what a function takes and gives, by name:
 *
 *     export default samara.function(
 *       { inputs: { rows: FP32(-1, 3) }, outputs: { sums: FP32(-1) } },
 *       ({ rows }) => ({ sums: rows.toArray().map((row) => row[0] + row[1] + row[2]) }),
 *     );
 *
 * The inputs come as an object of `Tensor`s by name. What is returned is an
 * object by name: tensors, or what `Tensor.of` takes.
 */
export function declare({ inputs, outputs }, body) {
  if (typeof body !== "function") {
    throw new TypeError("samara.function takes a signature and then the function");
  }
  return new Declared(checked("input", inputs), checked("output", outputs), body);
}

/** A body and its signature. */
export class Declared {
  constructor(inputs, outputs, body) {
    this.inputs = inputs;
    this.outputs = outputs;
    this.body = body;
  }

  /** Runs it on tensors by name; its outputs by name, as declared. */
  call(tensors) {
    const returned = this.body(tensors);
    if (typeof returned !== "object" || returned === null || typeof returned.then === "function") {
      throw new TypeError("a function returns an object of outputs by name, and no promise");
    }
    for (const name of Object.keys(returned)) {
      if (!(name in this.outputs)) {
        throw new TypeError(`\`${name}\` was returned, which is no declared output`);
      }
    }
    const output = ([name, spec]) => {
      if (!(name in returned)) {
        throw new TypeError(`output \`${name}\` was not returned`);
      }
      return [name, asTensor(returned[name], spec, `output \`${name}\``)];
    };
    return Object.fromEntries(Object.entries(this.outputs).map(output));
  }
}

function checked(side, specs) {
  for (const [name, spec] of Object.entries(specs ?? {})) {
    if (!(spec instanceof TensorSpec)) {
      throw new TypeError(`${side} \`${name}\`: declare a tensor, as in FP32(-1) or INT64(1)`);
    }
  }
  return specs ?? {};
}
