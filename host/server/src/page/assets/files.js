// Inputs that come from a file or a drawing.

import { h, fill, freshId, select } from "./dom.js";
import { drawingPad } from "./pad.js";
import { FITS, SCALES, drawPicture, pictureCanvas, pictureElements, picturePlan, pictureShape, pictureType } from "./picture.js";
import { asBytes, isFloat, shapeText } from "./tensor.js";
import { FieldError } from "./values.js";

const LARGEST_FILE = 256 * 1024 * 1024;

/** A place for a file: dropped, chosen or pasted. `taken(file)` gets it. */
function dropPlace(words, accept, taken) {
  const id = freshId("file");
  const input = h("input", {
    type: "file", id, accept, class: "filebox unseen",
    onchange: () => {
      const [file] = input.files;
      input.value = "";
      if (file) taken(file);
    },
  });
  const place = h("div", { class: "drop" }, input, h("label", { for: id }, words));
  place.addEventListener("dragover", (event) => {
    event.preventDefault();
    place.classList.add("over");
  });
  place.addEventListener("dragleave", () => place.classList.remove("over"));
  place.addEventListener("drop", (event) => {
    event.preventDefault();
    place.classList.remove("over");
    if (event.dataTransfer.files[0]) taken(event.dataTransfer.files[0]);
  });
  place.takePasted = (event) => {
    const file = event.clipboardData?.files[0];
    if (!file) return false;
    taken(file);
    return true;
  };
  return { place, input };
}

/** The bytes of a file as they are. */
export function fileMode(spec, changed) {
  const isPicture = spec.media_type?.startsWith("image/") ?? false;
  const facts = h("p", { class: "filefacts", "aria-live": "polite" });
  const shown = h("canvas", { class: "preview", hidden: true, role: "img", "aria-label": `The picture for ${spec.name}` });
  const { place, input } = dropPlace(isPicture ? "Drop, paste or choose a picture" : "Drop, paste or choose a file", spec.media_type ?? null, take);
  let [bytes, name] = [null, null];

  async function take(file) {
    if (file.size > LARGEST_FILE) {
      facts.textContent = `${file.name} has ${file.size} bytes, more than this page sends.`;
      return;
    }
    show(new Uint8Array(await file.arrayBuffer()), file.name || "pasted");
    changed();
  }

  function show(content, title, isNamed = true) {
    [bytes, name] = [content, isNamed ? title : spec.name];
    place.removeAttribute("data-invalid");
    facts.textContent = `${title} · ${content.length.toLocaleString("en")} bytes`;
    preview(content);
  }

  async function preview(content) {
    shown.hidden = true;
    const type = pictureType(content) ?? (isPicture ? spec.media_type : null);
    if (!type) return;
    try {
      const bitmap = await createImageBitmap(new Blob([content], { type: type.includes("*") ? "" : type }));
      if (content !== bytes) return;
      const scale = Math.min(1, 320 / Math.max(bitmap.width, bitmap.height));
      shown.width = Math.max(1, bitmap.width * scale);
      shown.height = Math.max(1, bitmap.height * scale);
      shown.getContext("2d").drawImage(bitmap, 0, 0, shown.width, shown.height);
      shown.classList.toggle("tiny", Math.max(bitmap.width, bitmap.height) <= 64);
      facts.textContent += ` · ${bitmap.width} × ${bitmap.height}`;
      shown.hidden = false;
    } catch {
      facts.textContent += " · not a picture that this browser shows";
    }
  }

  place.append(facts, shown);
  return {
    element: place,
    paste: place.takePasted,
    read: () => {
      if (!bytes) throw new FieldError("choose a file first", input);
      if (spec.datatype === "BYTES") return { shape: spec.shape.map(() => 1), elements: [bytes], file: name };
      return { shape: [bytes.length], elements: bytes, file: name };
    },
    write: ({ elements }) => show(spec.datatype === "BYTES" ? asBytes(elements[0]) : Uint8Array.from(elements), "from a request", false),
    takes: ({ elements }) => (spec.datatype === "BYTES" ? elements.length === 1 : true),
  };
}

/** A drawing, sent as a PNG file. */
export function drawnFileMode(spec, changed) {
  const pad = drawingPad(spec.name, 0.09, changed);
  return {
    element: pad.element,
    read: async () => {
      if (pad.isEmpty()) throw new FieldError("draw something first", pad.canvas);
      const bytes = new Uint8Array(await (await pad.png()).arrayBuffer());
      const file = "drawing.png";
      if (spec.datatype === "BYTES") return { shape: spec.shape.map(() => 1), elements: [bytes], file };
      return { shape: [bytes.length], elements: bytes, file };
    },
    write: () => {},
    takes: () => false,
  };
}

/** A picture turned into numbers. */
export function pictureMode(spec, changed) {
  const plan = picturePlan(spec);
  const settings = pictureSettings(spec, true, update);
  const facts = h("p", { class: "filefacts", "aria-live": "polite" });
  const preview = h("canvas", { class: "preview", hidden: true, role: "img", "aria-label": `What is sent as ${spec.name}` });
  const { place, input } = dropPlace("Drop, paste or choose a picture", "image/*", (chosen) => {
    file = chosen;
    update();
  });
  place.append(facts, preview);
  let [file, tensor] = [null, null];
  let turn = 0;

  async function update() {
    if (!file) return;
    turn += 1;
    const mine = turn;
    try {
      const canvas = await pictureCanvas(file, plan, settings.fit());
      if (mine !== turn) return;
      const { width, height } = canvas;
      const shades = canvas.getContext("2d").getImageData(0, 0, width, height);
      const elements = pictureElements(shades, plan, spec.datatype, settings);
      tensor = { shape: pictureShape(spec, plan, height, width), elements };
      drawPicture(preview, elements, plan, height, width);
      preview.classList.toggle("tiny", Math.max(width, height) <= 64);
      preview.hidden = false;
      facts.textContent = `${file.name || "pasted"} as ${spec.datatype} ${shapeText(tensor.shape)}`;
    } catch (error) {
      tensor = null;
      preview.hidden = true;
      facts.textContent = error.message;
    }
    changed();
  }

  return {
    element: h("div", {}, place, settings.element),
    paste: place.takePasted,
    read: () => {
      if (!tensor) throw new FieldError(file ? facts.textContent : "choose a picture first", input);
      return tensor;
    },
    write: () => {},
    takes: () => false,
  };
}

/** A drawing turned into numbers. */
export function drawnMode(spec, changed) {
  const plan = picturePlan(spec);
  const [height, width] = [plan.height, plan.width].map((side) => (side === -1 ? 28 : side));
  const preview = h("canvas", { class: "preview tiny", role: "img", "aria-label": `What is sent as ${spec.name}` });
  const elements = () => pictureElements(pad.pixels(height, width), plan, spec.datatype, settings);
  const update = () => {
    drawPicture(preview, elements(), plan, height, width);
    changed();
  };
  const settings = pictureSettings(spec, false, update);
  const pad = drawingPad(spec.name, Math.max(0.07, 0.9 / Math.min(height, width)), update);
  pad.element.append(h("div", { class: "seen" }, preview, h("span", { class: "muted small" }, `${height} × ${width}, as the function gets it`)));
  drawPicture(preview, elements(), plan, height, width);
  return {
    element: h("div", {}, pad.element, settings.element),
    read: () => {
      if (pad.isEmpty()) throw new FieldError("draw something first", pad.canvas);
      return { shape: pictureShape(spec, plan, height, width), elements: elements() };
    },
    write: () => {},
    takes: () => false,
  };
}

/** Choices of how shades become numbers. */
function pictureSettings(spec, withFit, update) {
  const settings = { scale: isFloat(spec.datatype) || spec.datatype === "BOOL" ? "unit" : "byte", invert: false, chosen: "cover", fit: () => settings.chosen };
  const invert = h("input", { type: "checkbox", onchange: () => { settings.invert = invert.checked; update(); } });
  settings.element = h("div", { class: "settings" },
    select("Numbers", SCALES, settings.scale, (value) => { settings.scale = value; update(); }),
    withFit ? select("Fit", FITS, settings.chosen, (value) => { settings.chosen = value; update(); }) : null,
    h("label", { class: "check" }, invert, " Invert"));
  return settings;
}

/** Shows numbers that are a picture, next to their editor. */
export function tensorPreview(spec) {
  const canvas = h("canvas", { class: "preview", hidden: true, role: "img", "aria-label": `${spec.name} as a picture` });
  return {
    element: canvas,
    show: (tensor) => {
      const plan = picturePlan({ shape: tensor.shape });
      canvas.hidden = !plan;
      if (!plan) return;
      drawPicture(canvas, tensor.elements, plan, plan.height, plan.width);
      canvas.classList.toggle("tiny", Math.max(plan.height, plan.width) <= 64);
    },
  };
}

/** A note instead of an editor, for datatypes that this page does not know. */
export function unknownMode(spec) {
  const element = fill(h("p", { class: "muted" }), `This page has no editor for ${spec.datatype}.`);
  return {
    element,
    read: () => { throw new FieldError(`this page has no editor for ${spec.datatype}`, null); },
    write: () => {},
    takes: () => false,
  };
}
