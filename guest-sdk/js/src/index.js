/** Write a function for samara in JavaScript: see the README beside this package. */

export { declare as function } from "./function.js";
export { Datatype } from "./datatype.js";
export {
  BF16,
  BOOL,
  BYTES,
  FP16,
  FP32,
  FP64,
  INT8,
  INT16,
  INT32,
  INT64,
  UINT8,
  UINT16,
  UINT32,
  UINT64,
} from "./datatype.js";
export { Error, ErrorKind } from "./error.js";
export { Model, model } from "./model.js";
export { Tensor } from "./tensor.js";
