// Files of NumPy, format version 1.0:
// https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html

import { asBytes, isFloat, isInteger, tensorBytes, width } from "./tensor.js";

/** The parts of an .npy file that holds `tensor`. BF16, which NumPy lacks, becomes FP32. */
export function npyParts(tensor) {
  const [kind, bytes] = tensor.datatype === "BYTES" ? padded(tensor.elements) : [description(tensor.datatype), tensorBytes(stored(tensor))];
  const shape = tensor.shape.length === 1 ? `(${tensor.shape[0]},)` : `(${tensor.shape.join(", ")})`;
  const dictionary = `{'descr': '${kind}', 'fortran_order': False, 'shape': ${shape}, }`;
  const padding = 64 - ((10 + dictionary.length + 1) % 64);
  const header = `${dictionary}${" ".repeat(padding % 64)}\n`;
  const magic = Uint8Array.of(0x93, 0x4e, 0x55, 0x4d, 0x50, 0x59, 1, 0, header.length & 0xff, header.length >> 8);
  return [magic, header, bytes];
}

const stored = (tensor) => (tensor.datatype === "BF16" ? { ...tensor, datatype: "FP32" } : tensor);

function description(datatype) {
  if (datatype === "BOOL") return "|b1";
  if (datatype === "BF16") return "<f4";
  const letter = isFloat(datatype) ? "f" : isInteger(datatype) && datatype.startsWith("U") ? "u" : "i";
  return `${width(datatype) === 1 ? "|" : "<"}${letter}${width(datatype)}`;
}

/** Byte strings, all as long as the longest one. */
function padded(elements) {
  const all = Array.from(elements, asBytes);
  const longest = Math.max(1, ...all.map((element) => element.length));
  const bytes = new Uint8Array(longest * all.length);
  all.forEach((element, index) => bytes.set(element, index * longest));
  return [`|S${longest}`, bytes];
}
