// One tensor of an answer: as a label, bars, a picture, a heat map, a table or
// a summary, whichever suits it, with the others to choose from.

import { digits } from "./chart.js";
import { download, fill, freshId, h, segments } from "./dom.js";
import { heatMap } from "./heat.js";
import { npyParts } from "./npy.js";
import { asPicture, drawPicture, pictureType, spread } from "./picture.js";
import { elementText, isFloat, isInteger, isNumeric, shapeText, tensorJson } from "./tensor.js";

const TOP = 10;
const MOST_ROWS = 100;
const MOST_CELLS = 2000;
/** In a row of more values, the largest ones say most. */
const MANY = 32;

/** The element that shows `tensor`; `all` are the outputs of the same answer. */
export function outputView(tensor, all, described) {
  const views = viewsOf(tensor, all, described);
  const body = h("div", { class: "outputbody" });
  const open = (value) => fill(body, views.find((view) => view.value === value).make());
  open(views[0].value);
  const id = freshId("output");
  return h("section", { class: "output", "aria-labelledby": id },
    h("header", {},
      h("h3", { id }, tensor.name),
      h("span", { class: "type" }, `${tensor.datatype} ${shapeText(tensor.shape)}`),
      views.length > 1 ? segments(`How to show ${tensor.name}`, views.map(({ value, words }) => [value, words]), views[0].value, open) : null,
      h("span", { class: "downloads" },
      h("button", { type: "button", class: "quiet", onclick: () => download(`${tensor.name}.json`, [tensorJson(tensor)], "application/json"), "aria-label": `Download ${tensor.name} as JSON` }, "JSON"),
      h("button", { type: "button", class: "quiet", onclick: () => download(`${tensor.name}.npy`, npyParts(tensor), "application/octet-stream"), "aria-label": `Download ${tensor.name} as a NumPy file` }, ".npy"))),
    body);
}

/** The ways to show a tensor, the best one first. */
function viewsOf(tensor, all, described) {
  const labels = labelsOf(tensor, described);
  const views = [];
  const add = (value, words, make) => views.push({ value, words, make });
  const { elements, shape } = tensor;
  if (elements.length === 0) return [{ value: "none", words: "Empty", make: () => h("p", { class: "muted" }, "It has no elements.") }];
  const classes = classification(tensor);
  if (classes) add("bars", "Bars", () => rowsOfBars(classes));
  if (tensor.datatype === "BYTES" && elements.some((element) => pictureType(element) && element instanceof Uint8Array)) add("file", "Picture", () => files(tensor));
  if (!classes && elements.length === 1) add("value", "Value", () => headline(tensor, labels));
  const scores = isFloat(tensor.datatype) ? scoresOf(tensor, all, labels, described) : null;
  if (scores) add("bars", "Bars", () => rowsOfBars(scores));
  const ranks = !scores && isFloat(tensor.datatype) && shape.at(-1) >= MANY && !asPicture(tensor) ? rankable(tensor) : null;
  if (ranks) add("largest", "Largest", () => rowsOfBars(ranks));
  const plan = asPicture(tensor);
  if (plan?.channels > 1) add("picture", "Picture", () => picture(tensor, plan));
  if (isNumeric(tensor.datatype) && shape.length >= 2 && shape.at(-1) >= 2 && shape.at(-2) >= 2) add("heat", "Heat map", () => heatMap(tensor));
  if (plan?.channels === 1) add("picture", "Picture", () => picture(tensor, plan));
  if (elements.length <= MOST_CELLS && elements.length > 1) add("table", "Table", () => table(tensor, labels));
  if (isNumeric(tensor.datatype) && elements.length > 16) add("summary", "Summary", () => summary(tensor));
  if (views.length === 0) add("summary", "Summary", () => summary(tensor));
  return views;
}

/** Names of the classes, where the function's maker gave some. */
function labelsOf(tensor, described) {
  const labels = described.labels?.[tensor.name];
  return Array.isArray(labels) ? labels.map(String) : null;
}

/** Rows of scores, where a tensor holds probabilities or has labels. */
function scoresOf(tensor, all, labels, described) {
  const classes = tensor.shape.at(-1) ?? 1;
  const rows = tensor.elements.length / classes;
  if (classes < 2 || rows > MOST_ROWS) return null;
  const values = Array.from(tensor.elements, Number);
  const row = (index) => values.slice(index * classes, (index + 1) * classes);
  const isShare = values.every((value) => value >= -1e-6 && value <= 1.000001);
  const sums = Array.from({ length: rows }, (_, index) => row(index).reduce((sum, value) => sum + value, 0));
  const names = isShare && rows >= 1 ? companion(tensor, all) : null;
  const isProbable = isShare && sums.every((sum) => Math.abs(sum - 1) < 0.02 || (names && sum <= 1.02));
  if (!isProbable && !(labels && labels.length === classes)) return null;
  const known = names ? labelsOf(names, described) : null;
  const name = (index, at) => (names ? label(names.elements[at * classes + index], known) : (labels?.[index] ?? String(index)));
  return Array.from({ length: rows }, (_, at) => row(at).map((value, index) => ({ name: name(index, at), value, isShare: isProbable })));
}

/** Rows of values that are no scores, to be shown by size. */
function rankable({ shape, elements }) {
  const columns = shape.at(-1);
  if (elements.length / columns > MOST_ROWS) return null;
  const row = (at) => Array.from(elements.slice(at * columns, (at + 1) * columns), (value, index) => ({ name: String(index), value: Number(value), isShare: false }));
  return Array.from({ length: elements.length / columns }, (_, at) => row(at).filter(({ value }) => !Number.isNaN(value)));
}

/** The classes of probabilities that are sorted: an integer or text output of the same shape, without doubles. */
function companion({ shape, elements }, all) {
  const isSorted = shape.length === 1 && elements[0] > 0 && Array.prototype.every.call(elements, (value, index) => index === 0 || value <= elements[index - 1]);
  if (!isSorted) return null;
  const isClasses = (other) => (isInteger(other.datatype) || other.datatype === "BYTES") && shapeText(other.shape) === shapeText(shape) && new Set(other.elements).size === elements.length;
  return all.find(isClasses) ?? null;
}

const label = (value, known) => (value instanceof Uint8Array ? `${value.length} bytes` : (known?.[Number(value)] ?? String(value)));

/** Strings of the classification extension, `score:index:label`. */
function classification({ datatype, shape, elements }) {
  if (datatype !== "BYTES") return null;
  const parts = Array.from(elements, (element) => /^(-?[\d.]+(?:[eE][+-]?\d+)?):(\d+)(?::(.*))?$/s.exec(String(element)));
  if (parts.some((part) => part === null)) return null;
  const classes = shape.at(-1) ?? 1;
  const all = parts.map(([, score, index, name]) => ({ name: name || index, value: Number(score), isShare: Number(score) >= 0 && Number(score) <= 1 }));
  return Array.from({ length: all.length / classes }, (_, row) => all.slice(row * classes, (row + 1) * classes));
}

/** Bars of the largest scores; with several rows, one row at a time. */
function rowsOfBars(rows) {
  const place = h("div");
  const show = (index, most) => fill(place, barList(rows[index], most), rows[index].length > most ? h("button", { type: "button", class: "quiet", onclick: () => show(index, 200) }, `Show ${Math.min(rows[index].length, 200)} of ${rows[index].length}`) : null);
  show(0, TOP);
  if (rows.length === 1) return place;
  const id = freshId("row");
  const chooser = h("input", { id, type: "number", min: "0", max: String(rows.length - 1), value: "0", class: "size", oninput: () => {
    const row = Number(chooser.value);
    if (rows[row]) show(row, TOP);
  } });
  return h("div", {}, h("p", { class: "labelled" }, h("label", { for: id }, `Row (of ${rows.length})`), chooser), place);
}

function barList(scores, most) {
  const sorted = [...scores].sort((left, right) => right.value - left.value).slice(0, most);
  const areShares = sorted.every((score) => score.isShare);
  const largest = areShares ? 1 : Math.max(...sorted.map((score) => Math.abs(score.value))) || 1;
  return h("ol", { class: "bars" }, sorted.map((score, rank) => {
    const bar = h("span", { class: "fillbar" });
    bar.style.setProperty("--share", String(Math.max(0, Math.min(1, Math.abs(score.value) / largest))));
    return h("li", { class: rank === 0 ? "first" : null },
      h("span", { class: "barname" }, score.name),
      h("span", { class: "track", "aria-hidden": "true" }, bar),
      h("span", { class: "barvalue" }, areShares ? percent(score.value) : digits(score.value)));
  }));
}

function percent(value) {
  const share = value * 100;
  if (share > 0 && share < 0.01) return "< 0.01 %";
  if (share >= 99.995 && share < 100) return "> 99.99 %";
  return `${share.toFixed(share < 1 || share >= 99.95 ? 2 : 1)} %`;
}

function headline(tensor, labels) {
  const [element] = tensor.elements;
  if (element instanceof Uint8Array) return files(tensor);
  const named = isInteger(tensor.datatype) ? labels?.[Number(element)] : null;
  const text = named ?? elementText(element, tensor.datatype);
  const isLong = text.length > 40 || text.includes("\n");
  return isLong
    ? h("pre", { class: "longtext", tabindex: "0" }, text)
    : h("p", { class: "headline" }, text, named ? h("span", { class: "muted" }, ` ${element}`) : null);
}

/** BYTES that are no text: pictures are shown, the rest can be saved. */
function files(tensor) {
  return h("div", { class: "files" }, Array.from(tensor.elements).slice(0, MOST_ROWS).map((element, index) => {
    const type = element instanceof Uint8Array ? pictureType(element) : null;
    if (!(element instanceof Uint8Array)) return h("p", {}, String(element));
    const canvas = h("canvas", { class: "preview", role: "img", hidden: !type, "aria-label": `${tensor.name} ${index}, a picture` });
    if (type) showFile(canvas, element, type);
    const save = h("button", { type: "button", class: "quiet", onclick: () => download(`${tensor.name}-${index}${type ? `.${type.slice(6)}` : ".bin"}`, [element], type ?? "application/octet-stream") }, `Save ${element.length.toLocaleString("en")} bytes`);
    return h("div", {}, canvas, save);
  }));
}

async function showFile(canvas, bytes, type) {
  try {
    const bitmap = await createImageBitmap(new Blob([bytes], { type }));
    [canvas.width, canvas.height] = [bitmap.width, bitmap.height];
    canvas.getContext("2d").drawImage(bitmap, 0, 0);
  } catch {
    canvas.hidden = true;
  }
}

function picture(tensor, plan) {
  const { shape, elements } = tensor;
  const [height, width] = plan.height > 0 ? [plan.height, plan.width] : shape.slice(-2);
  const canvas = h("canvas", { class: `preview${Math.max(height, width) <= 64 ? " tiny" : ""}`, role: "img", "aria-label": `${tensor.name} as a picture of ${width} by ${height}` });
  drawPicture(canvas, elements, plan, height, width);
  return canvas;
}

/** Rows along the last axis; a vector is one column with its index. */
function table(tensor, labels) {
  const { shape, elements, datatype } = tensor;
  const text = (value) => elementText(value, datatype);
  if (shape.length <= 1 || shape.at(-1) > 24) {
    return h("div", { class: "tablebox", tabindex: "0", role: "region", "aria-label": `Table of ${tensor.name}` }, h("table", {}, h("tbody", {}, Array.from(elements, (value, index) =>
      h("tr", {}, h("th", { scope: "row" }, labels?.length === elements.length ? labels[index] : indexText(index, shape)), h("td", {}, text(value)))))));
  }
  const columns = shape.at(-1);
  const rows = Array.from({ length: elements.length / columns }, (_, row) => elements.slice(row * columns, (row + 1) * columns));
  return h("div", { class: "tablebox", tabindex: "0", role: "region", "aria-label": `Table of ${tensor.name}` }, h("table", {},
    h("thead", {}, h("tr", {}, h("td", {}), Array.from({ length: columns }, (_, column) => h("th", { scope: "col" }, labels?.length === columns ? labels[column] : String(column))))),
    h("tbody", {}, rows.map((row, index) => h("tr", {}, h("th", { scope: "row" }, indexText(index, shape.slice(0, -1))), Array.from(row, (value) => h("td", {}, text(value))))))));
}

function indexText(index, shape) {
  const at = [];
  for (let axis = shape.length - 1; axis >= 0; axis -= 1) {
    at.unshift(index % shape[axis]);
    index = Math.floor(index / shape[axis]);
  }
  return at.join(",");
}

function summary(tensor) {
  const { low, high, mean, other } = spread(isNumeric(tensor.datatype) ? tensor.elements : []);
  const rows = [["elements", tensor.elements.length.toLocaleString("en")], ["shape", shapeText(tensor.shape)]];
  if (Number.isFinite(mean)) rows.push(["smallest", digitsOf(low)], ["mean", digitsOf(mean)], ["largest", digitsOf(high)]);
  if (isNumeric(tensor.datatype)) rows.push(["not finite", String(other)]);
  return h("dl", { class: "timing" }, rows.map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {}, value))));
}

const digitsOf = (value) => String(Number(value.toPrecision(6)));
