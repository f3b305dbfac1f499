// A pad to draw on, by pointer or by keys: light ink on black.

import { h } from "./dom.js";

const SIDE = 256;
const STEP = SIDE / 16;

/**
 * A square pad. `changed` is called after each change. `thickness`: of the pen,
 * as a part of the side. `.pixels(height, width)` gives the mean shades as RGBA,
 * `.png()` a Blob, `.isEmpty()` whether nothing is drawn.
 */
export function drawingPad(name, thickness, changed) {
  const canvas = h("canvas", {
    width: SIDE, height: SIDE, class: "pad", tabindex: "0", role: "application",
    "aria-label": `Drawing pad for ${name}. Arrow keys move the pen, with Shift they draw, Space makes a dot, Delete clears.`,
  });
  const context = canvas.getContext("2d", { willReadFrequently: true });
  const where = h("p", { class: "muted small", "aria-live": "polite" }, "Draw with the pointer, or with arrow keys while Shift is held.");
  let [x, y] = [SIDE / 2, SIDE / 2];
  let [isDrawing, isEmpty] = [false, true];

  function clear() {
    context.fillStyle = "#000";
    context.fillRect(0, 0, SIDE, SIDE);
    isEmpty = true;
    changed();
  }

  function stroke(toX, toY) {
    context.strokeStyle = "#fff";
    context.lineCap = "round";
    context.lineJoin = "round";
    context.lineWidth = SIDE * thickness;
    context.beginPath();
    context.moveTo(x, y);
    context.lineTo(toX + 0.01, toY);
    context.stroke();
    [x, y] = [toX, toY];
    isEmpty = false;
  }

  function place(event) {
    const box = canvas.getBoundingClientRect();
    return [((event.clientX - box.left) / box.width) * SIDE, ((event.clientY - box.top) / box.height) * SIDE];
  }

  canvas.addEventListener("pointerdown", (event) => {
    if (event.button !== 0) return;
    canvas.setPointerCapture(event.pointerId);
    [x, y] = place(event);
    isDrawing = true;
    stroke(x, y);
    event.preventDefault();
    canvas.focus({ preventScroll: true });
  });
  canvas.addEventListener("pointermove", (event) => {
    if (!isDrawing) return;
    for (const part of event.getCoalescedEvents?.() ?? [event]) stroke(...place(part));
  });
  const lift = () => {
    if (isDrawing) changed();
    isDrawing = false;
  };
  canvas.addEventListener("pointerup", lift);
  canvas.addEventListener("pointercancel", lift);

  canvas.addEventListener("keydown", (event) => {
    const moves = { ArrowLeft: [-STEP, 0], ArrowRight: [STEP, 0], ArrowUp: [0, -STEP], ArrowDown: [0, STEP] };
    const move = moves[event.key];
    if (move) {
      const [toX, toY] = [inside(x + move[0]), inside(y + move[1])];
      if (event.shiftKey) stroke(toX, toY);
      else [x, y] = [toX, toY];
    } else if (event.key === " ") stroke(x, y);
    else if (event.key === "Delete" || event.key === "Backspace") clear();
    else return;
    event.preventDefault();
    where.textContent = `Pen at column ${Math.round(x / STEP)}, row ${Math.round(y / STEP)} of 16.`;
    changed();
  });

  context.fillRect(0, 0, SIDE, SIDE);
  const clearing = h("button", { type: "button", class: "quiet", onclick: clear }, "Clear");
  return {
    element: h("div", { class: "padbox" }, canvas, h("div", {}, where, clearing)),
    canvas,
    isEmpty: () => isEmpty,
    pixels: (height, width) => shrunk(context.getImageData(0, 0, SIDE, SIDE).data, height, width),
    png: () => new Promise((done) => canvas.toBlob(done, "image/png")),
  };
}

const inside = (value) => Math.min(SIDE, Math.max(0, value));

/** The mean of each block: what a pixel of a small picture would see. */
function shrunk(data, height, width) {
  const pixels = new Uint8ClampedArray(height * width * 4);
  for (let row = 0; row < height; row += 1) {
    for (let column = 0; column < width; column += 1) {
      const shade = blockMean(data, row * SIDE / height, (row + 1) * SIDE / height, column * SIDE / width, (column + 1) * SIDE / width);
      pixels.set([shade, shade, shade, 255], (row * width + column) * 4);
    }
  }
  return { data: pixels, height, width };
}

function blockMean(data, top, bottom, left, right) {
  let [sum, seen] = [0, 0];
  for (let y = Math.floor(top); y < Math.max(Math.floor(top) + 1, bottom); y += 1) {
    for (let x = Math.floor(left); x < Math.max(Math.floor(left) + 1, right); x += 1) {
      sum += data[(y * SIDE + x) * 4];
      seen += 1;
    }
  }
  return sum / seen;
}
