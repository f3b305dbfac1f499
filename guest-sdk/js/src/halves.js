/** Numbers of sixteen bits: FP16 (IEEE 754 binary16) and BF16. */

const single = new Float32Array(1);
const singleBits = new Uint32Array(single.buffer);

/** The bits of the nearest FP16, of two equally near the even one. */
export function halfBits(value) {
  single[0] = value;
  const bits = singleBits[0];
  const sign = (bits >>> 16) & 0x8000;
  const magnitude = Math.abs(single[0]);
  if (Number.isNaN(value)) {
    return sign | 0x7e00;
  }
  // The first value that rounds to infinity lies half a step above 65504.
  if (magnitude >= 65520) {
    return sign | 0x7c00;
  }
  // Subnormal numbers are whole steps of 2^-24.
  if (magnitude < 2 ** -14) {
    return sign | roundHalfEven(magnitude * 2 ** 24);
  }
  const exponent = ((bits >>> 23) & 0xff) - 127;
  const mantissa = roundHalfEven((magnitude / 2 ** exponent - 1) * 1024);
  // A mantissa that rounds up to 1024 carries into the exponent.
  return sign | (((exponent + 15) << 10) + mantissa);
}

/** The number that the bits of an FP16 mean. */
export function halfValue(bits) {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >>> 10) & 0x1f;
  const mantissa = bits & 0x3ff;
  if (exponent === 0x1f) {
    return mantissa ? NaN : sign * Infinity;
  }
  return exponent === 0 ? sign * mantissa * 2 ** -24 : sign * (1 + mantissa / 1024) * 2 ** (exponent - 15);
}

/** The bits of the nearest BF16, of two equally near the even one. */
export function roundedBrainFloat(value) {
  single[0] = value;
  const bits = singleBits[0];
  if (Number.isNaN(value)) {
    return (bits >>> 16) | 0x40;
  }
  return (bits + 0x7fff + ((bits >>> 16) & 1)) >>> 16;
}

function roundHalfEven(value) {
  const down = Math.floor(value);
  const rest = value - down;
  return rest > 0.5 || (rest === 0.5 && down % 2 === 1) ? down + 1 : down;
}
