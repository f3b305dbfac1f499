/** Models that a function's manifest grants. */

import { Tensor } from "./tensor.js";

/** What reaches models: the host inside a component, stand-ins in a test. */
let reach = null;

/**
 * The model that the manifest grants as `[model.NAME]`.
 *
 * @throws {Error} of kind `NOT_FOUND` for one that it does not grant
 */
export function model(name) {
  if (reach === null) {
    throw new globalThis.Error(`model \`${name}\`: there is no samara here; in a test, use withModel`);
  }
  return new Model(name, reach(name));
}

/** A model that is loaded already. */
export class Model {
  #run;

  constructor(name, run) {
    this.name = name;
    this.#run = run;
  }

  /**
   * Runs the model once: tensors, or what `Tensor.of` takes, by name in; its
   * tensors by name out.
   *
   * @throws {Error} with the host's words, e.g. for an input that is not as the
   *   model declares it
   */
  run(inputs) {
    return this.#run(tensors(inputs));
  }
}

/** Each value by name as a tensor. */
export function tensors(values) {
  const entries = Object.entries(values);
  return Object.fromEntries(
    entries.map(([name, value]) => [name, value instanceof Tensor ? value : Tensor.of(value)]),
  );
}

/** Sets what gives the runner of a model by its name; returns the one before. */
export function reachModelsBy(next) {
  const before = reach;
  reach = next;
  return before;
}
