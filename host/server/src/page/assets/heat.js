// A matrix as colours.

import { h } from "./dom.js";
import { spread } from "./picture.js";
import { elementText } from "./tensor.js";

const LARGEST_SIDE = 1024;
// From dark blue over teal to light yellow, even in brightness.
const COLOURS = [[28, 22, 68], [45, 62, 120], [38, 107, 137], [40, 150, 137], [92, 189, 112], [176, 218, 87], [250, 236, 120]];

/** The last two axes of a tensor as colours; with more axes, one slice at a time. */
export function heatMap(tensor) {
  const { shape, elements } = tensor;
  const [height, width] = shape.slice(-2).map(Number);
  const area = height * width;
  const slices = elements.length / area;
  if (height > LARGEST_SIDE || width > LARGEST_SIDE) return h("p", { class: "muted" }, `A matrix of ${height} × ${width} is too large to draw.`);
  const { low, high } = spread(elements);
  const canvas = h("canvas", { width, height, class: `preview heat${Math.max(width, height) <= 128 ? " tiny" : ""}`, role: "img", "aria-label": `${tensor.name} as a heat map of ${height} rows and ${width} columns, from ${elementText(low, tensor.datatype)} to ${elementText(high, tensor.datatype)}` });
  const pointed = h("span", { class: "muted small" }, " ");
  let slice = 0;

  function draw() {
    const context = canvas.getContext("2d");
    const image = context.createImageData(width, height);
    for (let index = 0; index < area; index += 1) {
      const value = Number(elements[slice * area + index]);
      image.data.set(Number.isFinite(value) ? [...colour((value - low) / (high - low || 1)), 255] : [200, 40, 90, 255], index * 4);
    }
    context.putImageData(image, 0, 0);
  }

  canvas.addEventListener("pointermove", (event) => {
    const box = canvas.getBoundingClientRect();
    const column = Math.min(width - 1, Math.max(0, Math.floor(((event.clientX - box.left) / box.width) * width)));
    const row = Math.min(height - 1, Math.max(0, Math.floor(((event.clientY - box.top) / box.height) * height)));
    pointed.textContent = `[${row},${column}] = ${elementText(elements[slice * area + row * width + column], tensor.datatype)}`;
  });
  draw();
  const chooser = slices > 1
    ? h("label", { class: "labelled" }, `Slice (of ${slices})`, h("input", { type: "number", min: "0", max: String(slices - 1), value: "0", class: "size", oninput: (event) => {
        const wanted = Number(event.target.value);
        if (Number.isInteger(wanted) && wanted >= 0 && wanted < slices) {
          slice = wanted;
          draw();
        }
      } }))
    : null;
  const legend = h("span", { class: "legend" }, elementText(low, tensor.datatype), legendCanvas(), elementText(high, tensor.datatype));
  return h("div", {}, chooser, canvas, h("p", { class: "legendrow" }, legend, pointed));
}

/** The colour at `share` of the way, as red, green and blue. */
function colour(share) {
  const at = Math.min(1, Math.max(0, share)) * (COLOURS.length - 1);
  const below = Math.min(COLOURS.length - 2, Math.floor(at));
  return COLOURS[below].map((part, index) => part + (COLOURS[below + 1][index] - part) * (at - below));
}

function legendCanvas() {
  const canvas = h("canvas", { width: 64, height: 1, class: "legendbar", "aria-hidden": "true" });
  const context = canvas.getContext("2d");
  const image = context.createImageData(64, 1);
  for (let x = 0; x < 64; x += 1) image.data.set([...colour(x / 63), 255], x * 4);
  context.putImageData(image, 0, 0);
  return canvas;
}
