// Tensors: `{name, datatype, shape, elements, base64?}`. `elements` is an array
// or a typed array in row-major order: numbers, BigInt for 64-bit integers
// where a number is not exact, booleans, and for BYTES strings or Uint8Array.

const INTEGERS = { UINT8: [8, 0], UINT16: [16, 0], UINT32: [32, 0], UINT64: [64, 0], INT8: [8, 1], INT16: [16, 1], INT32: [32, 1], INT64: [64, 1] };
const FLOATS = { FP16: 2, BF16: 2, FP32: 4, FP64: 8 };
const NUMBER = /^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$/;

export const isInteger = (datatype) => datatype in INTEGERS;
export const isFloat = (datatype) => datatype in FLOATS;
export const isNumeric = (datatype) => isInteger(datatype) || isFloat(datatype);

/** Bytes of one element; 0 for BYTES, whose elements differ. */
export function width(datatype) {
  if (isInteger(datatype)) return INTEGERS[datatype][0] / 8;
  return FLOATS[datatype] ?? (datatype === "BOOL" ? 1 : 0);
}

/** The number of elements of a shape. */
export const count = (shape) => shape.reduce((product, size) => product * Number(size), 1);

/** A shape as text: `[1,28,28]`. */
export const shapeText = (shape) => `[${shape.join(",")}]`;

/** A declaration as text: `FP32 [-1,10]`, with the media type where it has one. */
export function specText(spec) {
  return `${spec.datatype} ${shapeText(spec.shape)}${spec.media_type ? ` ${spec.media_type}` : ""}`;
}

/** The smallest and largest value of an integer datatype, as BigInt. */
function range(datatype) {
  const [bits, signed] = INTEGERS[datatype];
  return signed ? [-(2n ** BigInt(bits - 1)), 2n ** BigInt(bits - 1) - 1n] : [0n, 2n ** BigInt(bits) - 1n];
}

/** Reads what somebody typed as one element; throws an Error with the reason. */
export function parseElement(text, datatype) {
  const trimmed = text.trim();
  if (datatype === "BYTES") return text;
  if (datatype === "BOOL") return parseBool(trimmed);
  return isInteger(datatype) ? parseInteger(trimmed, datatype) : parseFloating(trimmed, datatype);
}

function parseBool(text) {
  if (/^(true|1)$/i.test(text)) return true;
  if (/^(false|0)$/i.test(text)) return false;
  throw new Error(`“${text}” is neither true nor false`);
}

function parseInteger(text, datatype) {
  if (!/^[+-]?\d+$/.test(text)) throw new Error(text === "" ? "a number is missing" : `“${text}” is no integer`);
  const value = BigInt(text.replace("+", ""));
  const [low, high] = range(datatype);
  if (value < low || value > high) throw new Error(`${value} is outside ${datatype}, which goes from ${low} to ${high}`);
  const number = Number(value);
  return Number.isSafeInteger(number) ? number : value;
}

function parseFloating(text, datatype) {
  const word = text.toLowerCase().replace(/^\+/, "");
  if (word === "nan") return NaN;
  if (/^-?inf(inity)?$/.test(word)) return word.startsWith("-") ? -Infinity : Infinity;
  if (!NUMBER.test(text)) throw new Error(text === "" ? "a number is missing" : `“${text}” is no number`);
  const value = Number(text);
  if (!Number.isFinite(datatype === "FP32" || datatype === "BF16" ? Math.fround(value) : value)) {
    throw new Error(`${text} is too large for ${datatype}`);
  }
  return value;
}

/** A number of 32-bit precision with as few digits as bring it back. */
export function shortest(value) {
  const single = Math.fround(value);
  for (let digits = 6; digits < 9; digits += 1) {
    const short = Number(single.toPrecision(digits));
    if (Math.fround(short) === single) return short;
  }
  return Number(single.toPrecision(9));
}

/** An element as JSON text, as the protocol's JSON has it. */
export function elementJson(value, datatype) {
  if (typeof value === "bigint" || typeof value === "boolean") return String(value);
  if (value instanceof Uint8Array) return JSON.stringify(toBase64(value));
  if (typeof value === "string") return JSON.stringify(value);
  if (!Number.isFinite(value)) return `"${value}"`;
  if (Object.is(value, -0)) return "-0.0";
  return String(datatype === "FP32" && Math.fround(value) === value ? shortest(value) : value);
}

/** An element as a person reads it. */
export function elementText(value, datatype) {
  if (value instanceof Uint8Array) return `${value.length} bytes`;
  if (typeof value !== "number" || !isFloat(datatype)) return String(value);
  return String(datatype === "FP64" ? value : shortest(value));
}

/** A tensor of a request or a response as JSON text. */
export function tensorJson(tensor) {
  const inBase64 = Array.prototype.some.call(tensor.elements, (element) => element instanceof Uint8Array);
  const parameters = inBase64 ? `"parameters":{"content_type":"base64"},` : "";
  const elements = inBase64 ? Array.from(tensor.elements, asBytes) : tensor.elements;
  const data = Array.from(elements, (value) => elementJson(value, tensor.datatype)).join(",");
  const { name, datatype, shape } = tensor;
  return `{"name":${JSON.stringify(name)},"datatype":"${datatype}","shape":${JSON.stringify(shape.map(Number))},${parameters}"data":[${data}]}`;
}

/** A tensor from parsed JSON of a request or a response; throws an Error. */
export function tensorFrom(json) {
  const { name, datatype, shape, data } = json ?? {};
  if (typeof name !== "string") throw new Error("a tensor has no `name`");
  if (typeof datatype !== "string") throw new Error(`tensor \`${name}\` has no \`datatype\``);
  if (!Array.isArray(shape)) throw new Error(`tensor \`${name}\` has no \`shape\``);
  if (data === undefined) throw new Error(`tensor \`${name}\` has no \`data\``);
  const isBase64 = datatype === "BYTES" && json.parameters?.content_type === "base64";
  const elements = (Array.isArray(data) ? data.flat(Infinity) : [data]).map((value) => {
    if (isBase64) return fromBase64(String(value));
    if (isFloat(datatype) && typeof value === "string") return parseFloating(value, datatype);
    return value;
  });
  if (elements.length !== count(shape)) {
    throw new Error(`tensor \`${name}\`: shape ${shapeText(shape)} holds ${count(shape)} elements, but \`data\` has ${elements.length}`);
  }
  return { name, datatype, shape: shape.map(Number), elements };
}

/** The elements as the protocol's binary extension and .npy files have them: little-endian. */
export function tensorBytes({ datatype, elements }) {
  if (datatype === "BYTES") return byteStrings(Array.from(elements, asBytes));
  const step = width(datatype);
  const buffer = new ArrayBuffer(step * elements.length);
  const view = new DataView(buffer);
  const put = writer(view, datatype);
  for (let index = 0; index < elements.length; index += 1) put(index * step, elements[index]);
  return new Uint8Array(buffer);
}

function writer(view, datatype) {
  switch (datatype) {
    case "BOOL": return (at, value) => view.setUint8(at, value ? 1 : 0);
    case "UINT8": return (at, value) => view.setUint8(at, Number(value));
    case "INT8": return (at, value) => view.setInt8(at, Number(value));
    case "UINT16": return (at, value) => view.setUint16(at, Number(value), true);
    case "INT16": return (at, value) => view.setInt16(at, Number(value), true);
    case "UINT32": return (at, value) => view.setUint32(at, Number(value), true);
    case "INT32": return (at, value) => view.setInt32(at, Number(value), true);
    case "UINT64": return (at, value) => view.setBigUint64(at, BigInt(value), true);
    case "INT64": return (at, value) => view.setBigInt64(at, BigInt(value), true);
    case "FP16": return (at, value) => view.setUint16(at, halfBits(value), true);
    case "BF16": return (at, value) => view.setUint16(at, brainBits(value), true);
    case "FP32": return (at, value) => view.setFloat32(at, value, true);
    case "FP64": return (at, value) => view.setFloat64(at, value, true);
    default: throw new Error(`datatype ${datatype} is not known to this page`);
  }
}

/** Each element behind its length in four bytes. */
function byteStrings(elements) {
  const bytes = new Uint8Array(elements.reduce((sum, element) => sum + 4 + element.length, 0));
  const view = new DataView(bytes.buffer);
  let at = 0;
  for (const element of elements) {
    view.setUint32(at, element.length, true);
    bytes.set(element, at + 4);
    at += 4 + element.length;
  }
  return bytes;
}

const scratch = new DataView(new ArrayBuffer(8));

function singleBits(value) {
  scratch.setFloat32(0, value);
  return scratch.getUint32(0);
}

/** The upper half of a 32-bit float, rounded to even. */
function brainBits(value) {
  const bits = singleBits(value);
  if (Number.isNaN(value)) return 0x7fc0;
  return Math.floor((bits + 0x7fff + ((bits >>> 16) & 1)) / 0x10000) & 0xffff;
}

/** IEEE 754 binary16, rounded to even. */
function halfBits(value) {
  if (Number.isNaN(value)) return 0x7e00;
  const sign = value < 0 || Object.is(value, -0) ? 0x8000 : 0;
  const size = Math.abs(value);
  if (size >= 65520) return sign | 0x7c00;
  if (size < 2 ** -14) return sign | roundEven(size * 2 ** 24);
  let exponent = Math.floor(Math.log2(size));
  if (2 ** exponent > size) exponent -= 1;
  if (2 ** (exponent + 1) <= size) exponent += 1;
  return sign | (((exponent + 15) << 10) + roundEven((size / 2 ** exponent - 1) * 1024));
}

function roundEven(value) {
  const low = Math.floor(value);
  const rest = value - low;
  return rest > 0.5 || (rest === 0.5 && low % 2 === 1) ? low + 1 : low;
}

/** A BYTES element as bytes. */
export const asBytes = (element) => (element instanceof Uint8Array ? element : new TextEncoder().encode(String(element)));

export function toBase64(bytes) {
  let text = "";
  for (let at = 0; at < bytes.length; at += 0x8000) text += String.fromCharCode(...bytes.subarray(at, at + 0x8000));
  return btoa(text);
}

export function fromBase64(text) {
  return Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
}
