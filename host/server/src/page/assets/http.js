// The call of a function that speaks HTTP.

import { address, send } from "./api.js";
import { showProblem } from "./answer.js";
import { duration } from "./chart.js";
import { download, fill, h, select } from "./dom.js";

const METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"];
const WITHOUT_BODY = new Set(["GET", "HEAD"]);
/** More of a body is counted, but not shown or kept. */
const LARGEST_SHOWN = 1024 * 1024;

/** The panel with a request and what came back. */
export function httpPanel(described) {
  const route = described.route ?? "/";
  let [method, running, file] = ["GET", null, null];
  const path = h("input", { type: "text", value: route, "aria-label": "Path", spellcheck: "false", autocomplete: "off", class: "path mono" });
  const headers = h("textarea", { rows: "2", "aria-label": "Headers, one per line", class: "mono", spellcheck: "false", placeholder: "content-type: application/json" });
  const body = h("textarea", { rows: "6", "aria-label": "Body", class: "mono", spellcheck: "false", oninput: () => { file = null; chosen.value = ""; } });
  const chosen = h("input", { type: "file", "aria-label": "Body from a file", onchange: () => { file = chosen.files[0] ?? null; } });
  const bodyPart = h("div", { hidden: true }, h("label", {}, "Body"), body, chosen);
  const answer = h("div", { class: "answer" }, h("p", { class: "muted" }, "The answer appears here."));
  const go = h("button", { type: "submit", class: "go", title: "Ctrl+Enter" }, "Send");
  const stop = h("button", { type: "button", class: "quiet", hidden: true, onclick: () => running?.abort() }, "Stop");

  async function run(event) {
    event?.preventDefault();
    if (running) return;
    running = new AbortController();
    stop.hidden = false;
    try {
      const options = { method, headers: headerList(headers.value), signal: running.signal };
      if (!WITHOUT_BODY.has(method)) options.body = file ?? body.value;
      await show(answer, samePlace(path.value), options);
    } catch (problem) {
      showProblem(answer, problem.name === "AbortError" ? { message: "You stopped the call.", status: 0 } : problem);
    }
    stop.hidden = true;
    running = null;
  }

  const element = h("div", { class: "panels" },
    h("form", { class: "panel call", "aria-label": `Call ${described.name}`, onsubmit: run },
      h("header", {}, h("h2", {}, "Request")),
      h("p", { class: "requestline" }, select("Method", METHODS.map((name) => [name, name]), method, (value) => { method = value; bodyPart.hidden = WITHOUT_BODY.has(value); }), path),
      h("details", {}, h("summary", {}, "Headers"), headers),
      bodyPart,
      h("p", { class: "actions" }, go, stop, h("span", { class: "muted small" }, "Ctrl+Enter"))),
    h("section", { class: "panel", "aria-labelledby": "answer-title" }, h("header", {}, h("h2", { id: "answer-title" }, "Answer")), answer));

  const onKey = (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) run(event);
  };
  document.addEventListener("keydown", onKey);
  return {
    element,
    close: () => {
      running?.abort();
      document.removeEventListener("keydown", onKey);
    },
  };
}

/** A path of this server; the token must not go anywhere else. */
function samePlace(path) {
  const here = new URL(address("."));
  const wanted = new URL(path.replace(/^\/+/, ""), here);
  if (wanted.origin !== here.origin) throw Object.assign(new Error(`“${path}” is no path of this server`), { control: null });
  return wanted.href;
}

function headerList(text) {
  return text.split("\n").filter((line) => line.trim()).map((line) => {
    const colon = line.indexOf(":");
    if (colon < 1) throw Object.assign(new Error(`“${line}” is no header; one looks like \`name: value\``), { control: null });
    return [line.slice(0, colon).trim(), line.slice(colon + 1).trim()];
  });
}

/** Sends, and shows the answer as it comes. */
async function show(place, path, options) {
  const began = performance.now();
  const response = await send(path, options);
  const first = performance.now() - began;
  const text = h("pre", { class: "longtext", tabindex: "0", role: "region", "aria-label": "Body of the answer" });
  const progress = h("p", { class: "muted small" });
  const actions = h("p", { class: "downloads" });
  fill(place,
    h("p", { role: "status", class: `headline ${response.ok ? "" : "bad"}` }, String(response.status), " ", h("span", { class: "muted" }, response.statusText)),
    h("details", {}, h("summary", {}, "Headers"), h("dl", { class: "headers" }, [...response.headers].map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {}, value))))),
    text, progress, actions);
  const type = response.headers.get("content-type") ?? "";
  const parts = await readStream(response, (chunk) => text.append(chunk), progress);
  progress.textContent += ` · first byte after ${duration(first)}, all after ${duration(performance.now() - began)}`;
  if (type.startsWith("image/")) await showPicture(text, parts, type);
  if (parts.length) fill(actions, h("button", { type: "button", class: "quiet", onclick: () => download("answer", parts, type) }, "Save the body"));
}

/** Reads a body piece by piece; gives back the pieces up to the largest size. */
async function readStream(response, shown, progress) {
  const parts = [];
  const decoder = new TextDecoder();
  const reader = response.body?.getReader();
  let total = 0;
  while (reader) {
    const { done, value } = await reader.read();
    if (done) break;
    if (total < LARGEST_SHOWN) {
      parts.push(value);
      shown(decoder.decode(value, { stream: true }));
    }
    total += value.length;
    progress.textContent = `${total.toLocaleString("en")} bytes${total > LARGEST_SHOWN ? ", of which the first are shown" : ""}`;
  }
  if (total === 0) progress.textContent = "no body";
  return parts;
}

async function showPicture(text, parts, type) {
  const canvas = h("canvas", { class: "preview", role: "img", "aria-label": "The answer, a picture" });
  try {
    const bitmap = await createImageBitmap(new Blob(parts, { type }));
    [canvas.width, canvas.height] = [bitmap.width, bitmap.height];
    canvas.getContext("2d").drawImage(bitmap, 0, 0);
    text.replaceWith(canvas);
  } catch {
    // It stays as text.
  }
}
