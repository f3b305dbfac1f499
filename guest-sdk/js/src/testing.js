/** Runs functions and stands in for models where there is no samara: in tests. */

import { Error } from "./error.js";
import { reachModelsBy, tensors } from "./model.js";
import { asTensor } from "./tensor.js";

/**
 * Calls a function as samara does: inputs are checked against what it declares
 * and given as tensors; its outputs come by name.
 *
 * @throws {Error} of kind `INVALID_INPUT` for inputs that samara refuses
 */
export function call(declared, inputs) {
  for (const name of Object.keys(inputs)) {
    if (!(name in declared.inputs)) {
      throw Error.invalidInput(`input \`${name}\`: the function has none of this name`);
    }
  }
  const given = ([name, spec]) => {
    if (!(name in inputs)) {
      throw Error.invalidInput(`input \`${name}\` is missing`);
    }
    try {
      return [name, asTensor(inputs[name], spec, `input \`${name}\``)];
    } catch (error) {
      throw Error.invalidInput(error.message);
    }
  };
  return declared.call(Object.fromEntries(Object.entries(declared.inputs).map(given)));
}

/**
 * While `work` runs, `standIn` answers for the model `name`: it takes the tensors
 * by name and gives tensors, or what `Tensor.of` takes, by name.
 */
export function withModel(name, standIn, work) {
  const before = reachModelsBy((asked) => {
    if (asked === name) {
      return (inputs) => tensors(standIn(inputs));
    }
    if (before !== null) {
      return before(asked);
    }
    throw Error.notFound(`model \`${asked}\`: the test has none of this name`);
  });
  try {
    return work();
  } finally {
    reachModelsBy(before);
  }
}
