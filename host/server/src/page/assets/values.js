// Editors of plain values: a grid of cells, JSON, text, lines of text.

import { h, fill, freshId } from "./dom.js";
import { parseJson } from "./json.js";
import { count, elementJson, elementText, isInteger, isFloat, parseElement, shapeText } from "./tensor.js";

const MOST_CELLS = 256;
const MOST_COLUMNS = 16;
const MOST_SHOWN_AS_JSON = 20_000;

/** What is wrong with an input, and the control to mend it in. */
export class FieldError extends Error {
  constructor(message, control) {
    super(message);
    this.control = control;
  }
}

/** The size of each free axis, to be edited; `.shape()`, `.set(shape)`. */
export function sizesEditor(spec, initial, changed) {
  const sizes = [...initial];
  const inputs = new Map();
  const axes = spec.shape.map((declared, axis) => {
    if (Number(declared) !== -1) return h("span", {}, String(declared));
    const input = h("input", {
      type: "number", min: "0", step: "1", value: String(sizes[axis]), class: "size",
      "aria-label": `Size of axis ${axis} of ${spec.name}`,
      onchange: () => {
        const size = Math.floor(Number(input.value));
        sizes[axis] = Number.isFinite(size) && size >= 0 ? Math.min(size, 1e9) : sizes[axis];
        input.value = String(sizes[axis]);
        changed();
      },
    });
    inputs.set(axis, input);
    return input;
  });
  const joined = axes.flatMap((axis, index) => (index ? [h("span", { class: "times", "aria-hidden": "true" }, "×"), axis] : [axis]));
  return {
    element: inputs.size ? h("div", { class: "sizes" }, h("span", { class: "muted" }, "shape"), joined) : null,
    shape: () => [...sizes],
    set: (shape) => {
      shape.forEach((size, axis) => {
        sizes[axis] = size;
        if (inputs.has(axis)) inputs.get(axis).value = String(size);
      });
    },
  };
}

/** Sizes to begin with, where the declaration leaves them open. */
export function firstSizes(spec) {
  return spec.shape.map((size, axis) => (Number(size) !== -1 ? Number(size) : axis === 0 && spec.shape.length > 1 ? 1 : spec.datatype === "BYTES" ? 1 : 4));
}

/** Whether a shape is small enough for cells. */
export function fitsGrid(shape) {
  return count(shape) <= MOST_CELLS && (shape.at(-1) ?? 1) <= MOST_COLUMNS;
}

/** Cells, one per element. */
export function gridMode(spec, changed) {
  const sizes = sizesEditor(spec, firstSizes(spec), () => {
    build(cells.map(textOf));
    changed();
  });
  const grid = h("div", { class: "grid", role: "group", "aria-label": `Values of ${spec.name}` });
  const isBool = spec.datatype === "BOOL";
  const first = isBool ? "false" : spec.datatype === "BYTES" ? "" : "0";
  let cells = [];

  function build(texts) {
    const shape = sizes.shape();
    cells = [];
    if (!fitsGrid(shape)) {
      fill(grid, h("p", { class: "muted" }, `${shapeText(shape)} is too large for cells: write it as JSON.`));
      return;
    }
    const columns = Math.max(1, shape.at(-1) ?? 1);
    grid.style.setProperty("--columns", String(columns));
    cells = Array.from({ length: count(shape) }, (_, index) => cell(place(index, shape), texts[index] ?? first));
    fill(grid, cells.map((input) => (isBool ? h("label", { class: "check" }, input) : input)));
  }

  function cell(index, text) {
    const label = shapeIsOne(sizes.shape()) ? spec.name : `${spec.name}[${index.join(",")}]`;
    if (isBool) return h("input", { type: "checkbox", checked: text === "true", "aria-label": label, onchange: changed });
    const mode = isInteger(spec.datatype) || isFloat(spec.datatype) ? "decimal" : "text";
    return h("input", {
      type: "text", inputmode: mode, autocomplete: "off", spellcheck: "false", value: text, "aria-label": label,
      oninput: (event) => { event.target.removeAttribute("aria-invalid"); changed(); },
      onpaste: pasteMany,
    });
  }

  /** Many numbers pasted into a cell go into the cells behind it. */
  function pasteMany(event) {
    const words = event.clipboardData.getData("text").trim().split(/[\s,;[\]]+/).filter(Boolean);
    if (words.length < 2 || spec.datatype === "BYTES") return;
    event.preventDefault();
    const first = cells.indexOf(event.target);
    words.slice(0, cells.length - first).forEach((word, index) => (cells[first + index].value = word));
    changed();
  }

  const textOf = (input) => (isBool ? String(input.checked) : input.value);

  build([]);
  return {
    element: h("div", {}, sizes.element, grid),
    read: () => {
      const shape = sizes.shape();
      if (!fitsGrid(shape)) throw new FieldError(`${shapeText(shape)} is too large for cells: write it as JSON`, sizes.element?.querySelector("input"));
      const elements = cells.map((input, index) => {
        try {
          return parseElement(textOf(input), spec.datatype);
        } catch (error) {
          input.setAttribute("aria-invalid", "true");
          throw new FieldError(`element ${shape.length ? `[${place(index, shape).join(",")}]` : "0"}: ${error.message}`, input);
        }
      });
      return { shape, elements };
    },
    write: ({ shape, elements }) => {
      sizes.set(shape);
      build(Array.from(elements, (value) => elementText(value, spec.datatype)));
    },
    takes: ({ shape, elements }) => fitsGrid(shape) && !elements.some((element) => element instanceof Uint8Array),
  };
}

const shapeIsOne = (shape) => count(shape) === 1;

function place(index, shape) {
  const at = [];
  for (let axis = shape.length - 1; axis >= 0; axis -= 1) {
    at.unshift(index % shape[axis]);
    index = Math.floor(index / shape[axis]);
  }
  return at;
}

/** A box for JSON: nested or flat arrays, or numbers with anything between them. */
export function jsonMode(spec, changed) {
  const sizes = sizesEditor(spec, firstSizes(spec), changed);
  const box = h("textarea", {
    rows: "6", spellcheck: "false", "aria-label": `${spec.name} as JSON`, class: "mono",
    placeholder: `${count(firstSizes(spec))} elements, flat or nested: [0.5, 1, …]`, oninput: () => { box.removeAttribute("aria-invalid"); kept = null; changed(); },
  });
  let kept = null;
  const fail = (message) => {
    box.setAttribute("aria-invalid", "true");
    throw new FieldError(message, box);
  };
  return {
    element: h("div", {}, sizes.element, box),
    read: () => {
      if (kept) return kept;
      const value = parsed(box.value, spec.datatype, fail);
      const flat = value.flat(Infinity);
      const elements = flat.map((element, index) => {
        try {
          return typed(element, spec.datatype);
        } catch (error) {
          return fail(`element ${index}: ${error.message}`);
        }
      });
      const shape = fitted(spec, value, elements.length, sizes.shape());
      if (count(shape) !== elements.length) fail(`shape ${shapeText(shape)} holds ${count(shape)} elements, but there are ${elements.length}`);
      sizes.set(shape);
      return { shape, elements };
    },
    write: (tensor) => {
      const { shape, elements } = tensor;
      sizes.set(shape);
      const isShown = elements.length <= MOST_SHOWN_AS_JSON;
      kept = isShown ? null : tensor;
      box.value = isShown ? nested(elements, shape, spec.datatype) : "";
      box.placeholder = isShown ? "" : `${elements.length} elements are filled in, too many to show. What is written here takes their place.`;
    },
    takes: () => true,
  };
}

function parsed(text, datatype, fail) {
  const trimmed = text.trim();
  if (trimmed === "") return fail("a value is missing");
  try {
    const value = parseJson(trimmed);
    return Array.isArray(value) ? value : [value];
  } catch (error) {
    const words = trimmed.split(/[\s,;]+/);
    if (datatype === "BYTES" || trimmed.startsWith("[")) return fail(`this is no JSON: ${error.message}`);
    return words;
  }
}

function typed(element, datatype) {
  if (datatype === "BYTES") {
    if (typeof element !== "string") throw new Error(`${element} is no string`);
    return element;
  }
  if (element === null || typeof element === "object") throw new Error(`${JSON.stringify(element)} is no value`);
  return parseElement(String(element), datatype);
}

/** The shape that nested data show; for flat data, one free axis takes what there is. */
function fitted(spec, value, found, shape) {
  const nesting = [];
  for (let level = value; Array.isArray(level); level = level[0]) nesting.push(level.length);
  if (nesting.length === shape.length && nesting.every((size, axis) => Number(spec.shape[axis]) === -1 || Number(spec.shape[axis]) === size)) return nesting;
  const free = spec.shape.flatMap((size, axis) => (Number(size) === -1 ? [axis] : []));
  if (free.length !== 1 || count(shape) === found) return shape;
  const rest = count(shape.filter((_, axis) => axis !== free[0]));
  return rest > 0 && found % rest === 0 ? shape.with(free[0], found / rest) : shape;
}

/** Elements as nested JSON, a row per line. */
function nested(elements, shape, datatype) {
  if (shape.length === 0) return elementJson(elements[0], datatype);
  let at = 0;
  const level = (axis) => {
    const inner = Array.from({ length: shape[axis] }, () => (axis === shape.length - 1 ? elementJson(elements[at++], datatype) : level(axis + 1)));
    return axis === shape.length - 1 ? `[${inner.join(", ")}]` : `[${inner.join(",\n ")}]`;
  };
  return level(0);
}

/** One text. */
export function textMode(spec, changed) {
  const id = freshId("text");
  const box = h("textarea", { id, rows: "4", "aria-label": `${spec.name}, a text`, oninput: changed, placeholder: "Write or paste a text" });
  const shape = spec.shape.map(() => 1);
  return {
    element: h("div", {}, box),
    read: () => ({ shape, elements: [box.value] }),
    write: ({ elements }) => (box.value = String(elements[0])),
    takes: ({ elements }) => elements.length === 1 && typeof elements[0] === "string",
  };
}

/** A text per line. */
export function linesMode(spec, changed) {
  const box = h("textarea", { rows: "5", "aria-label": `${spec.name}, a text per line`, oninput: changed, placeholder: "One element per line" });
  return {
    element: h("div", {}, box),
    read: () => {
      const elements = box.value.replace(/\n$/, "").split("\n");
      const shape = fitted(spec, elements, elements.length, firstSizes(spec));
      if (count(shape) !== elements.length) throw new FieldError(`shape ${shapeText(shape)} holds ${count(shape)} lines, but there are ${elements.length}`, box);
      return { shape, elements };
    },
    write: ({ elements }) => (box.value = elements.join("\n")),
    takes: ({ elements }) => elements.every((element) => typeof element === "string" && !element.includes("\n")),
  };
}
