/** What a component is made of: a declared function behind samara's contract. */

import { loadByName } from "wasi:nn/graph@0.2.0-rc-2024-10-28";
import { Tensor as HostTensor } from "wasi:nn/tensor@0.2.0-rc-2024-10-28";

import { BF16, FP16, FP32, FP64, INT32, INT64, UINT8 } from "./datatype.js";
import { Error, ErrorKind } from "./error.js";
import { Declared } from "./function.js";
import { reachModelsBy } from "./model.js";
import { Tensor } from "./tensor.js";

/** What `wasi:nn` has a name for; the rest travels as bytes. */
const TYPES = new Map([
  [FP16.datatype, "FP16"],
  [FP32.datatype, "FP32"],
  [FP64.datatype, "FP64"],
  [BF16.datatype, "BF16"],
  [UINT8.datatype, "U8"],
  [INT32.datatype, "I32"],
  [INT64.datatype, "I64"],
]);
const DATATYPES = new Map(Array.from(TYPES, ([datatype, type]) => [type, datatype]));

/** The export `samara:function/function`. */
export function component(declared) {
  if (!(declared instanceof Declared)) {
    throw new TypeError("the module's default export is no samara.function(…)");
  }
  reachModelsBy(reach);
  return {
    describe: () => ({ inputs: specs(declared.inputs), outputs: specs(declared.outputs) }),
    infer: (inputs) => answered(() => infer(declared, inputs)),
  };
}

function infer(declared, inputs) {
  const lift = ([name, resource]) => [name, Tensor.heldByHost(declared.inputs[name].datatype, resource)];
  const outputs = declared.call(Object.fromEntries(inputs.map(lift)));
  return Object.entries(outputs).map(([name, tensor]) => [name, lowered(tensor)]);
}

/** An answer, or an error as the contract has it. */
function answered(work) {
  try {
    return work();
  } catch (error) {
    if (error instanceof Error) {
      throw { kind: error.kind, message: error.message };
    }
    console.error(error?.stack ? `${error}\n${error.stack}` : String(error));
    throw { kind: ErrorKind.INTERNAL, message: String(error) };
  }
}

function specs(declared) {
  return Object.entries(declared).map(([name, spec]) => ({
    name,
    datatype: spec.datatype.label.toLowerCase(),
    shape: spec.shape.map(BigInt),
    mediaType: spec.mediaType,
  }));
}

function lowered(tensor) {
  const type = TYPES.get(tensor.datatype) ?? "U8";
  return tensor.resource ?? new HostTensor(Uint32Array.from(tensor.shape), type, tensor.bytes);
}

function lifted(resource) {
  return Tensor.heldByHost(DATATYPES.get(resource.ty()), resource);
}

/** The models that this instance has opened: what it is granted does not change
 * while it lives. */
const opened = new Map();

function reach(name) {
  if (!opened.has(name)) {
    opened.set(name, inWordsOfHost(name, () => loadByName(name).initExecutionContext()));
  }
  const context = opened.get(name);
  return (tensors) => {
    const inputs = Object.entries(tensors).map(([key, tensor]) => [key, lowered(tensor)]);
    const outputs = inWordsOfHost(name, () => context.compute(inputs));
    return Object.fromEntries(outputs.map(([key, resource]) => [key, lifted(resource)]));
  };
}

const KINDS = {
  "invalid-argument": ErrorKind.INVALID_INPUT,
  "invalid-encoding": ErrorKind.INVALID_INPUT,
  timeout: ErrorKind.TIMEOUT,
  "unsupported-operation": ErrorKind.UNSUPPORTED,
  "too-large": ErrorKind.TOO_LARGE,
  "not-found": ErrorKind.NOT_FOUND,
};

function inWordsOfHost(name, ask) {
  try {
    return ask();
  } catch (error) {
    const told = error?.payload;
    if (told === undefined) {
      throw error;
    }
    throw new Error(`model \`${name}\`: ${told.data()}`, KINDS[told.code()] ?? ErrorKind.INTERNAL);
  }
}
