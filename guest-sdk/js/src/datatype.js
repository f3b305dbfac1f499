/** Datatypes of tensors, and what a function declares of each. */

import { Error } from "./error.js";

/** A size that a caller may choose. */
export const ANY_SIZE = -1;

/** One of the datatypes of the Open Inference Protocol, or `BF16`. */
export class Datatype {
  /**
   * @param {string} label the protocol's word
   * @param {number | null} size bytes of an element; none for `BYTES`
   * @param {Function | null} array what holds such elements in JavaScript
   */
  constructor(label, size, array) {
    this.label = label;
    this.size = size;
    this.array = array;
    Object.freeze(this);
  }

  toString() {
    return this.label;
  }
}

/** What is declared of a tensor: sizes by axis, `-1` is any, and what the bytes hold. */
export class TensorSpec {
  constructor(datatype, shape, mediaType) {
    for (const size of shape) {
      if (!Number.isInteger(size) || size < ANY_SIZE) {
        throw new TypeError(`${size} is no size of a tensor; sizes are whole numbers, and -1 is any`);
      }
    }
    this.datatype = datatype;
    this.shape = shape;
    this.mediaType = mediaType;
  }

  /** The same with what the bytes hold, such as `image/png`: for people and tools. */
  holding(mediaType) {
    return new TensorSpec(this.datatype, this.shape, mediaType);
  }

  toString() {
    return `${this.datatype}[${this.shape.join(", ")}]`;
  }
}

/** `FP32(-1, 3)` declares a tensor of rows of three. */
function declaring(label, size, array) {
  const datatype = new Datatype(label, size, array);
  const spec = (...shape) => new TensorSpec(datatype, shape);
  return Object.assign(spec, { datatype });
}

// Halves are held as single-precision numbers, and `BOOL` as zeros and ones.
export const BOOL = declaring("BOOL", 1, Uint8Array);
export const UINT8 = declaring("UINT8", 1, Uint8Array);
export const UINT16 = declaring("UINT16", 2, Uint16Array);
export const UINT32 = declaring("UINT32", 4, Uint32Array);
export const UINT64 = declaring("UINT64", 8, BigUint64Array);
export const INT8 = declaring("INT8", 1, Int8Array);
export const INT16 = declaring("INT16", 2, Int16Array);
export const INT32 = declaring("INT32", 4, Int32Array);
export const INT64 = declaring("INT64", 8, BigInt64Array);
export const FP16 = declaring("FP16", 2, Float32Array);
export const BF16 = declaring("BF16", 2, Float32Array);
export const FP32 = declaring("FP32", 4, Float32Array);
export const FP64 = declaring("FP64", 8, Float64Array);
export const BYTES = declaring("BYTES", null, null);

/** A datatype, however it is said: `FP32` itself or `FP32.datatype`. */
export function datatypeOf(said) {
  const datatype = said?.datatype ?? said;
  if (!(datatype instanceof Datatype)) {
    throw new TypeError(`${said} is no datatype; say FP32, INT64, …`);
  }
  return datatype;
}

/** What a typed array holds. */
export function datatypeOfArray(array) {
  const kinds = [UINT8, UINT16, UINT32, UINT64, INT8, INT16, INT32, INT64, FP32, FP64];
  const kind = kinds.find(({ datatype }) => array instanceof datatype.array);
  if (kind === undefined) {
    throw new Error(`a ${array.constructor.name} holds no elements of a tensor`);
  }
  return kind.datatype;
}
