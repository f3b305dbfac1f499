/** Tensors, and the forms in which JavaScript holds them. */

import { ANY_SIZE, BF16, BOOL, BYTES, FP16, FP32, INT64, datatypeOf, datatypeOfArray } from "./datatype.js";
import { Error } from "./error.js";
import { halfBits, halfValue, roundedBrainFloat } from "./halves.js";

/**
 * Elements of one datatype in a shape, row by row in little-endian bytes.
 *
 * A tensor that came from the host, an input or a model's output, stays there
 * until it is looked at: to hand it on to a model, or to return it, copies
 * nothing.
 */
export class Tensor {
  #bytes;
  #resource;

  /**
   * @param datatype `FP32`, …
   * @param {number[]} shape
   * @param {Uint8Array} bytes those of `BYTES` elements have each its length
   *   before it, as four little-endian bytes
   */
  constructor(datatype, shape, bytes) {
    this.datatype = datatypeOf(datatype);
    this.shape = [...shape];
    this.#bytes = bytes;
    const { size } = this.datatype;
    if (size !== null && bytes.length !== this.size * size) {
      throw new Error(`${bytes.length} bytes are no ${this}, which takes ${this.size * size}`);
    }
  }

  /**
   * A tensor of a typed array, a number, a bigint, a boolean, a text, bytes as
   * `Uint8Array` where the datatype is `BYTES`, or arrays of arrays of them.
   * Without a datatype numbers are FP32, bigints INT64, booleans BOOL, texts BYTES,
   * and typed arrays what they hold.
   *
   * @throws {Error} for rows of different lengths and values that the datatype
   *   does not hold
   */
  static of(values, datatype, shape) {
    const wanted = datatype === undefined ? undefined : datatypeOf(datatype);
    if (ArrayBuffer.isView(values) && wanted !== BYTES.datatype) {
      const held = wanted ?? datatypeOfArray(values);
      return new Tensor(held, shape ?? [values.length], pack(held, values));
    }
    const rows = flatten(values);
    const held = wanted ?? datatypeOfValues(rows.flat);
    return new Tensor(held, shape ?? rows.shape, pack(held, rows.flat));
  }

  /** A tensor of the host; `datatype` is what its bytes mean. */
  static heldByHost(datatype, resource) {
    const tensor = new Tensor(BYTES, [], new Uint8Array());
    tensor.datatype = datatype;
    tensor.shape = Array.from(resource.dimensions());
    tensor.#bytes = undefined;
    tensor.#resource = resource;
    return tensor;
  }

  /** How many elements. */
  get size() {
    return this.shape.reduce((size, length) => size * length, 1);
  }

  /** @returns {Uint8Array} the bytes */
  get bytes() {
    if (this.#bytes === undefined) {
      // The host's arrays are of a class of another realm.
      const { buffer, byteOffset, byteLength } = this.#resource.data();
      this.#bytes = new Uint8Array(buffer, byteOffset, byteLength);
    }
    return this.#bytes;
  }

  /** The host's tensor, if the host holds it. */
  get resource() {
    return this.#resource;
  }

  /**
   * The same bytes as elements of another datatype: `wasi:nn` gives a model's
   * output of BOOL, BYTES and other types without a name there as UINT8.
   */
  readAs(datatype) {
    return new Tensor(datatype, this.shape, this.bytes);
  }

  /** All elements, row by row: a typed array, or for BYTES an array of `Uint8Array`. */
  values() {
    return unpack(this.datatype, this.bytes, this.size);
  }

  /**
   * All elements of a tensor of BYTES as texts.
   *
   * @throws {Error} of kind `INVALID_INPUT` where one is not UTF-8
   */
  texts() {
    const decoder = new TextDecoder("utf-8", { fatal: true });
    return this.values().map((element, index) => {
      try {
        return decoder.decode(element);
      } catch {
        throw Error.invalidInput(`the element at index ${index} is not UTF-8`);
      }
    });
  }

  /** Arrays of arrays, one level per axis; a bare element without axes. */
  toArray() {
    return nest(Array.from(this.values()), this.shape);
  }

  /**
   * The one element.
   *
   * @throws {Error} of kind `INVALID_INPUT` if there are more or none
   */
  item() {
    if (this.size !== 1) {
      throw Error.invalidInput(`one element was expected, ${this.size} came`);
    }
    return this.values()[0];
  }

  toString() {
    return `${this.datatype}[${this.shape.join(", ")}]`;
  }
}

/** What a function returned, or was given, as a tensor of `spec`. */
export function asTensor(value, spec, place) {
  let tensor = value instanceof Tensor ? value : Tensor.of(value, spec.datatype);
  // A bare element is a tensor of one where one is declared.
  if (tensor.shape.length === 0 && spec.shape.length === 1 && [1, ANY_SIZE].includes(spec.shape[0])) {
    tensor = new Tensor(tensor.datatype, [1], tensor.bytes);
  }
  const fits =
    tensor.shape.length === spec.shape.length &&
    spec.shape.every((declared, axis) => declared === ANY_SIZE || declared === tensor.shape[axis]);
  if (tensor.datatype !== spec.datatype || !fits) {
    throw new Error(`${place}: ${tensor} is not the ${spec} that is declared`);
  }
  return tensor;
}

function flatten(values) {
  if (!Array.isArray(values)) {
    return { shape: [], flat: [values] };
  }
  const rows = values.map(flatten);
  const shape = rows[0]?.shape ?? [];
  rows.forEach((row, index) => {
    if (row.shape.join() !== shape.join()) {
      throw new Error(`rows of different shapes: [${shape}] first, [${row.shape}] at index ${index}`);
    }
  });
  return { shape: [rows.length, ...shape], flat: rows.flatMap((row) => row.flat) };
}

function nest(flat, shape) {
  if (shape.length === 0) {
    return flat[0];
  }
  if (shape.length === 1) {
    return flat;
  }
  const [rows, ...rest] = shape;
  const length = rest.reduce((size, axis) => size * axis, 1);
  return Array.from({ length: rows }, (_, row) => nest(flat.slice(row * length, (row + 1) * length), rest));
}

function datatypeOfValues(flat) {
  const every = (type) => flat.length > 0 && flat.every((value) => typeof value === type);
  if (every("string")) {
    return BYTES.datatype;
  }
  if (every("boolean")) {
    return BOOL.datatype;
  }
  return (every("bigint") ? INT64 : FP32).datatype;
}

function pack(datatype, values) {
  if (datatype === BYTES.datatype) {
    return packBytes(values);
  }
  for (const value of values) {
    if (!holds(datatype, value)) {
      const shown = typeof value === "string" ? `"${value}"` : String(value);
      throw new Error(`${shown} is no ${datatype}`);
    }
  }
  if (datatype === FP16.datatype) {
    return bytesOf(Uint16Array.from(values, halfBits));
  }
  if (datatype === BF16.datatype) {
    return bytesOf(Uint16Array.from(values, roundedBrainFloat));
  }
  return bytesOf(values instanceof datatype.array ? values : datatype.array.from(values, convert(datatype)));
}

/** Numbers are given for wide integers too, where they are whole. */
function convert(datatype) {
  return datatype.array === BigInt64Array || datatype.array === BigUint64Array ? BigInt : Number;
}

function holds(datatype, value) {
  if (typeof value === "boolean") {
    return datatype === BOOL.datatype;
  }
  if (typeof value !== "number" && typeof value !== "bigint") {
    return false;
  }
  if (/^(FP|BF)/.test(datatype.label)) {
    return typeof value === "number";
  }
  if (datatype === BOOL.datatype) {
    return value === 0 || value === 1;
  }
  if (typeof value === "number" && !Number.isSafeInteger(value)) {
    return false;
  }
  const bits = BigInt(datatype.size * 8);
  const whole = BigInt(value);
  const signed = datatype.label.startsWith("INT");
  const fits = signed ? BigInt.asIntN(Number(bits), whole) : BigInt.asUintN(Number(bits), whole);
  return fits === whole;
}

function packBytes(values) {
  const encoder = new TextEncoder();
  const elements = values.map((element) => {
    const bytes = typeof element === "string" ? encoder.encode(element) : element;
    if (!(bytes instanceof Uint8Array)) {
      throw new Error(`${element} is no element of BYTES; texts and Uint8Array are`);
    }
    return bytes;
  });
  const packed = new Uint8Array(elements.reduce((size, element) => size + 4 + element.length, 0));
  const view = new DataView(packed.buffer);
  let at = 0;
  for (const element of elements) {
    view.setUint32(at, element.length, true);
    packed.set(element, at + 4);
    at += 4 + element.length;
  }
  return packed;
}

function unpack(datatype, bytes, size) {
  if (datatype === BYTES.datatype) {
    return unpackBytes(bytes, size);
  }
  // A copy is aligned for any element.
  const { buffer } = bytes.slice();
  if (datatype === FP16.datatype) {
    return Float32Array.from(new Uint16Array(buffer), halfValue);
  }
  if (datatype === BF16.datatype) {
    return new Float32Array(Uint32Array.from(new Uint16Array(buffer), (bits) => bits << 16).buffer);
  }
  return new datatype.array(buffer);
}

function unpackBytes(bytes, size) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const elements = [];
  let at = 0;
  for (let index = 0; index < size; index += 1) {
    const length = at + 4 <= bytes.length ? view.getUint32(at, true) : undefined;
    if (length === undefined || at + 4 + length > bytes.length) {
      throw new Error(`a tensor of BYTES ends before the end of element ${index}`);
    }
    elements.push(bytes.slice(at + 4, at + 4 + length));
    at += 4 + length;
  }
  return elements;
}

function bytesOf(array) {
  return new Uint8Array(array.buffer, array.byteOffset, array.byteLength);
}
