// The form of a signature: a field per input, and in each field the editors
// that suit its datatype and shape.

import { h, fill, freshId, segments } from "./dom.js";
import { drawnFileMode, drawnMode, fileMode, pictureMode, tensorPreview, unknownMode } from "./files.js";
import { picturePlan } from "./picture.js";
import { isNumeric, shapeText, specText, tensorFrom } from "./tensor.js";
import { FieldError, firstSizes, fitsGrid, gridMode, jsonMode, linesMode, textMode } from "./values.js";

/** A form with `.element`, `.read()` (tensors), `.write(request)` and `.paste(event)`. */
export function signatureForm(signature, changed) {
  const fields = signature.inputs.map((spec) => makeField(spec, changed));
  const byName = new Map(fields.map((field) => [field.spec.name, field]));
  return {
    element: h("div", { class: "fields" }, fields.length ? fields.map((field) => field.element) : h("p", { class: "muted" }, "It takes no inputs.")),
    read: async () => {
      const tensors = [];
      for (const field of fields) tensors.push(await field.read());
      return tensors;
    },
    write: (request) => {
      if (!Array.isArray(request?.inputs)) throw new Error("a request has a list of `inputs`");
      const tensors = request.inputs.map(tensorFrom);
      for (const tensor of tensors) {
        const field = byName.get(tensor.name);
        if (!field) throw new Error(`there is no input \`${tensor.name}\`; there are ${[...byName.keys()].map((name) => `\`${name}\``).join(", ")}`);
        field.check(tensor);
      }
      tensors.forEach((tensor) => byName.get(tensor.name).write(tensor));
    },
    paste: (event) => fields.find((field) => field.element.contains(event.target) || fields.length === 1)?.paste(event) ?? false,
  };
}

function makeField(spec, changed) {
  const error = h("p", { class: "error", id: freshId("error"), role: "alert" });
  const body = h("div", { class: "fieldbody" });
  const preview = isNumeric(spec.datatype) && picturePlan(spec) ? tensorPreview(spec) : null;
  const touched = () => {
    error.textContent = "";
    if (preview) preview.element.hidden = true;
    changed();
  };
  const offers = modesOf(spec);
  const modes = new Map();
  let active = offers[0].value;

  /** Editors are made when they are first looked at. */
  function mode(value) {
    if (!modes.has(value)) modes.set(value, offers.find((offer) => offer.value === value).make(spec, touched));
    return modes.get(value);
  }

  function open(value) {
    const before = modes.get(active);
    active = value;
    const after = mode(value);
    fill(body, after.element, ["grid", "json"].includes(value) ? preview?.element : null);
    return before;
  }

  async function change(value) {
    const before = open(value);
    touched();
    try {
      const tensor = await before.read();
      if (!mode(value).takes(tensor)) return;
      mode(value).write(tensor);
      preview?.show(tensor);
    } catch {
      // What is unfinished in one editor stays there.
    }
  }

  const chooser = offers.length > 1 ? segments(`How to give ${spec.name}`, offers.map(({ value, words }) => [value, words]), active, change) : null;
  open(active);
  const element = h("fieldset", { class: "field" },
    h("legend", {}, h("span", { class: "name" }, spec.name), " ", h("span", { class: "type" }, specText(spec))),
    chooser, body, error);

  return {
    spec,
    element,
    read: async () => {
      error.textContent = "";
      try {
        const { shape, elements, file } = await mode(active).read();
        return { name: spec.name, datatype: spec.datatype, shape, elements, file };
      } catch (problem) {
        error.textContent = problem.message;
        problem.control?.setAttribute("aria-describedby", error.id);
        throw new FieldError(`${spec.name}: ${problem.message}`, problem.control ?? null);
      }
    },
    check: (tensor) => checkFits(spec, tensor),
    write: (tensor) => {
      const best = offers.find(({ value }) => mode(value).takes(tensor)) ?? offers.at(-1);
      open(best.value);
      chooser?.choose(best.value);
      mode(best.value).write(tensor);
      touched();
      preview?.show(tensor);
    },
    paste: (event) => mode(active).paste?.(event) ?? false,
  };
}

function checkFits(spec, { name, datatype, shape }) {
  if (datatype !== spec.datatype) throw new Error(`input \`${name}\` is ${spec.datatype}, and the request has ${datatype}`);
  const fits = shape.length === spec.shape.length && shape.every((size, axis) => Number(spec.shape[axis]) === -1 || Number(spec.shape[axis]) === size);
  if (!fits && !(spec.shape.length === 0 && shape.length === 1 && shape[0] === 1)) {
    throw new Error(`input \`${name}\` is ${shapeText(spec.shape)}, and the request has ${shapeText(shape)}`);
  }
}

/** The editors of an input, the most fitting one first. */
function modesOf(spec) {
  const offer = (value, words, make) => ({ value, words, make });
  const json = offer("json", "JSON", jsonMode);
  if (spec.datatype === "BYTES") return bytesModes(spec, offer, json);
  if (spec.datatype !== "BOOL" && !isNumeric(spec.datatype)) return [offer("unknown", "None", unknownMode)];
  const isFile = spec.datatype === "UINT8" && spec.shape.length === 1 && Number(spec.shape[0]) === -1 && spec.media_type;
  if (isFile) {
    const drawn = spec.media_type.startsWith("image/") ? [offer("draw", "Draw", drawnFileMode)] : [];
    return [offer("file", "File", fileMode), ...drawn, json];
  }
  const plain = fitsGrid(firstSizes(spec)) ? [offer("grid", "Values", gridMode), json] : [json];
  const plan = picturePlan(spec);
  if (!plan) return plain;
  const picture = offer("picture", "Picture", pictureMode);
  const isSmall = plan.channels === 1 && plan.height <= 64 && plan.width <= 64;
  return isSmall ? [offer("draw", "Draw", drawnMode), picture, ...plain] : [picture, ...plain];
}

function bytesModes(spec, offer, json) {
  const isOne = spec.shape.every((size) => Number(size) === 1 || Number(size) === -1);
  const file = offer("file", "File", fileMode);
  const text = offer("text", "Text", textMode);
  const lines = spec.shape.length === 1 && Number(spec.shape[0]) !== 1 ? [offer("lines", "Lines", linesMode)] : [];
  if (!isOne) return [...(fitsGrid(firstSizes(spec)) ? [offer("grid", "Values", gridMode)] : []), ...lines, json];
  if (!spec.media_type || spec.media_type.startsWith("text/")) return [text, ...lines, file, json];
  if (spec.media_type.startsWith("image/")) return [file, offer("draw", "Draw", drawnFileMode)];
  return [file, text];
}
