// From a picture to a tensor, and back.

import { h } from "./dom.js";
import { count, isFloat } from "./tensor.js";

/** How shades from 0 to 255 become numbers. */
export const SCALES = [
  ["unit", "0 … 1"],
  ["byte", "0 … 255"],
  ["signed", "−1 … 1"],
  ["sixteen", "0 … 16"],
  ["imagenet", "ImageNet mean and deviation"],
];
export const FITS = [
  ["cover", "fill, cut what is over"],
  ["contain", "show whole"],
  ["stretch", "stretch"],
];
const MEAN = [0.485, 0.456, 0.406];
const DEVIATION = [0.229, 0.224, 0.225];
const LARGEST_SIDE = 2048;

/**
 * How a shape can hold one picture, or null: `{layout, channels, height,
 * width}`, where a height or width of -1 may be any.
 */
export function picturePlan(spec) {
  const shape = spec.shape.map(Number);
  const isOne = (size) => size === 1 || size === -1;
  const isColour = (size) => size === 1 || size === 3 || size === 4;
  const plan = (layout, channels, height, width) => {
    const fits = [height, width].every((size) => size === -1 || (size >= 4 && size <= 4 * LARGEST_SIDE));
    return fits ? { layout, channels, height, width } : null;
  };
  const [first, second, third, fourth] = shape;
  if (shape.length === 4 && isOne(first)) {
    if (isColour(second)) return plan("planes", second, third, fourth);
    return isColour(fourth) ? plan("pixels", fourth, second, third) : null;
  }
  if (shape.length === 3) {
    if (isColour(third) && !isColour(first)) return plan("pixels", third, first, second);
    if (isColour(first) || first === -1) return plan("planes", first === -1 ? 1 : first, second, third);
    return null;
  }
  if (shape.length === 2 && first >= 8 && second >= 8) return plan("planes", 1, first, second);
  const flat = shape.length === 2 && isOne(first) ? second : shape.length === 1 ? first : 0;
  const side = Math.round(Math.sqrt(flat));
  return (flat === 64 || flat === 784) && side * side === flat ? plan("planes", 1, side, side) : null;
}

/** The shape of one picture of `height` and `width` in a declared shape. */
export function pictureShape(spec, plan, height, width) {
  const shape = spec.shape.map(Number);
  if (shape.length <= 2) return shape.map((size) => (size === -1 ? 1 : size));
  const sizes = plan.layout === "planes" ? [plan.channels, height, width] : [height, width, plan.channels];
  return shape.length === 4 ? [1, ...sizes] : sizes;
}

/** Reads a file as a picture, drawn to the plan's size; throws an Error. */
export async function pictureCanvas(file, plan, fit) {
  let bitmap;
  try {
    bitmap = await createImageBitmap(file);
  } catch {
    throw new Error(`“${file.name || "this"}” is no picture that this browser can read`);
  }
  const [height, width] = freeSizes(plan, bitmap);
  const canvas = h("canvas", { width, height });
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.imageSmoothingEnabled = true;
  context.imageSmoothingQuality = "high";
  const across = width / bitmap.width;
  const down = height / bitmap.height;
  const scale = fit === "cover" ? Math.max(across, down) : Math.min(across, down);
  const [w, t] = fit === "stretch" ? [width, height] : [bitmap.width * scale, bitmap.height * scale];
  context.drawImage(bitmap, (width - w) / 2, (height - t) / 2, w, t);
  bitmap.close();
  return canvas;
}

function freeSizes(plan, bitmap) {
  const shrink = Math.min(1, LARGEST_SIDE / Math.max(bitmap.width, bitmap.height));
  const free = (declared, own) => (declared === -1 ? Math.max(1, Math.round(own * shrink)) : declared);
  return [free(plan.height, bitmap.height), free(plan.width, bitmap.width)];
}

/** The elements of a picture: shades of red, green, blue and alpha, 0 to 255, in `pixels`. */
export function pictureElements({ data, width, height }, plan, datatype, { scale, invert }) {
  const { channels, layout } = plan;
  const area = width * height;
  const elements = isFloat(datatype) ? new Float32Array(area * channels) : new Array(area * channels);
  for (let pixel = 0; pixel < area; pixel += 1) {
    for (let channel = 0; channel < channels; channel += 1) {
      let shade = shadeAt(data, pixel * 4, channel, channels);
      if (invert && channel < 3) shade = 255 - shade;
      const at = layout === "planes" ? channel * area + pixel : pixel * channels + channel;
      elements[at] = scaled(shade, scale, channel, datatype);
    }
  }
  return elements;
}

/** Transparent pixels show black, except where the alpha itself is asked for. */
function shadeAt(data, at, channel, channels) {
  const alpha = channels === 4 ? 1 : data[at + 3] / 255;
  if (channels > 1) return channel === 3 ? data[at + 3] : data[at + channel] * alpha;
  return (0.299 * data[at] + 0.587 * data[at + 1] + 0.114 * data[at + 2]) * alpha;
}

function scaled(shade, scale, channel, datatype) {
  const value =
    scale === "unit" ? shade / 255
    : scale === "signed" ? shade / 127.5 - 1
    : scale === "sixteen" ? (shade / 255) * 16
    : scale === "imagenet" ? (shade / 255 - (MEAN[channel] ?? 0)) / (DEVIATION[channel] ?? 1)
    : shade;
  if (isFloat(datatype)) return value;
  return datatype === "BOOL" ? value > 0 : Math.round(value);
}

/** The smallest, largest and mean of numbers, leaving out what is not finite. */
export function spread(elements) {
  let [low, high, sum, seen, other] = [Infinity, -Infinity, 0, 0, 0];
  for (const element of elements) {
    const value = Number(element);
    if (!Number.isFinite(value)) {
      other += 1;
      continue;
    }
    if (value < low) low = value;
    if (value > high) high = value;
    sum += value;
    seen += 1;
  }
  return { low: seen ? low : NaN, high: seen ? high : NaN, mean: seen ? sum / seen : NaN, other };
}

/** Draws elements as a picture: gray or colour, their own spread stretched to the shades unless it is a usual one. */
export function drawPicture(canvas, elements, plan, height, width) {
  canvas.width = width;
  canvas.height = height;
  const [low, high] = shadeRange(elements);
  const context = canvas.getContext("2d");
  const image = context.createImageData(width, height);
  const area = width * height;
  const shade = (pixel, channel) => {
    const at = plan.layout === "planes" ? channel * area + pixel : pixel * plan.channels + channel;
    return ((Number(elements[at]) - low) / (high - low || 1)) * 255;
  };
  for (let pixel = 0; pixel < area; pixel += 1) {
    for (let channel = 0; channel < 3; channel += 1) image.data[pixel * 4 + channel] = shade(pixel, plan.channels === 1 ? 0 : channel);
    image.data[pixel * 4 + 3] = plan.channels === 4 ? shade(pixel, 3) : 255;
  }
  context.putImageData(image, 0, 0);
}

function shadeRange(elements) {
  const { low, high } = spread(elements);
  if (low >= 0 && high <= 1) return [0, 1];
  if (low >= 0 && high <= 255 && high > 16) return [0, 255];
  if (low >= -1 && high <= 1) return [-1, 1];
  return [low, high];
}

/** Whether bytes begin as a picture that browsers show. */
export function pictureType(bytes) {
  const begins = (...codes) => codes.every((code, index) => bytes[index] === code);
  if (begins(0x89, 0x50, 0x4e, 0x47)) return "image/png";
  if (begins(0xff, 0xd8, 0xff)) return "image/jpeg";
  if (begins(0x47, 0x49, 0x46, 0x38)) return "image/gif";
  if (begins(0x52, 0x49, 0x46, 0x46) && bytes[8] === 0x57 && bytes[9] === 0x45) return "image/webp";
  return null;
}

/** How one tensor can be seen as a picture, or null; for tensors that exist, so with sizes. */
export function asPicture({ datatype, shape, elements }) {
  if (datatype === "BYTES" || elements.length !== count(shape) || elements.length < 16) return null;
  const plan = picturePlan({ shape });
  return plan && plan.channels > 0 ? plan : null;
}
