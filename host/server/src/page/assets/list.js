// All functions, each with its facts and its last minute.

import { digits, duration, latencyChart } from "./chart.js";
import { copy, h } from "./dom.js";
import { specText } from "./tensor.js";

/** Tensors of a signature in short. */
const MOST_NAMED = 4;

/** The list of functions; `.update(live)` shows what happens now. */
export function functionList(functions) {
  const rows = new Map(functions.map((described) => [described.name, row(described)]));
  const element = h("section", { "aria-labelledby": "title" },
    h("header", { class: "pagehead" }, h("h1", { id: "title", tabindex: "-1" }, "Functions"), h("span", { class: "muted" }, String(functions.length))),
    functions.length ? h("ul", { class: "functions" }, [...rows.values()].map((entry) => entry.element)) : emptyList());
  element.update = (live) => rows.forEach((entry, name) => entry.update(live.now_ms / 1000, live.functions?.[name]));
  return element;
}

function emptyList() {
  return h("div", { class: "empty" },
    h("p", {}, "This server has no functions yet."),
    h("p", { class: "muted" }, "Start it with some, as in ", h("code", {}, "samara serve digits:1"), ", or load one through the repository extension. They appear here by themselves."));
}

function row(described) {
  const chart = latencyChart([180, 36], false);
  const numbers = liveNumbers();
  const element = h("li", { class: "function" },
    h("div", { class: "who" },
      h("h2", {}, h("a", { href: `#/${encodeURIComponent(described.name)}` }, described.name), " ", badge(described)),
      h("p", { class: "signature" }, signatureText(described)),
      described.description ? h("p", { class: "muted" }, described.description) : null,
      reasonText(described)),
    factList(described),
    h("div", { class: "now" }, chart, numbers.element));
  return {
    element,
    update: (now, live) => {
      chart.update(now, live?.history);
      numbers.update(live);
    },
  };
}

/** Kind, and the state where it is not the usual one. */
export function badge(described) {
  const isReady = described.state === "ready";
  return [
    described.kind && described.kind !== "function" ? h("span", { class: "badge" }, described.kind) : null,
    isReady ? h("span", { class: "unseen" }, "ready") : h("span", { class: "badge warn" }, described.state ?? "unknown"),
  ];
}

/** Why a function does not answer. */
export function reasonText(described) {
  return described.reason ? h("p", { class: "error" }, described.reason) : null;
}

/** The signature in short: `image: BYTES [1] → digit: INT64 [1]`. */
export function signatureText(described) {
  if (described.kind === "http") return `HTTP below ${described.route ?? "/"}`;
  if (described.kind === "command") return "a command, for samara run";
  if (!described.signature) return described.state === "ready" ? "signature unknown" : "";
  const side = (specs) => {
    const shown = specs.slice(0, MOST_NAMED).map((spec) => `${spec.name}: ${specText(spec)}`);
    const rest = specs.length - shown.length;
    return [...shown, ...(rest > 0 ? [`${rest} more`] : [])].join(", ") || "nothing";
  };
  return `${side(described.signature.inputs)} → ${side(described.signature.outputs)}`;
}

/** What is known of a function without calling it. */
export function factList(described) {
  const models = described.models ?? [];
  const backends = [...new Set(models.map((model) => (model.target ? `${model.backend} on ${model.target}` : model.backend)))];
  const memory = models.reduce((sum, model) => sum + Number(model.memory ?? 0), 0);
  const facts = [
    ["version", (described.versions?.length ? described.versions : [described.version]).filter(Boolean).join(", ") ],
    ["backend", backends.join(", ")],
    ["memory", memory ? bytes(memory) : null],
    ["batch", described.batch ? `up to ${described.batch.max}${described.batch.delay_us ? `, ${duration(described.batch.delay_us / 1000)}` : ""}` : null],
    ["digest", described.digest ? digest(described.digest) : null],
  ].filter(([, value]) => value);
  return h("dl", { class: "facts" }, facts.map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {}, value))));
}

function digest(text) {
  const short = text.replace(/^sha256:/, "").slice(0, 12);
  const button = h("button", { type: "button", class: "link mono", title: text, "aria-label": `Copy the digest ${short}`, onclick: () => copy(text, button) }, short);
  return button;
}

export function bytes(amount) {
  const units = ["B", "kB", "MB", "GB", "TB"];
  let unit = 0;
  while (amount >= 1000 && unit < units.length - 1) {
    amount /= 1000;
    unit += 1;
  }
  return `${digits(amount)} ${units[unit]}`;
}

/** Requests a second and latencies, as they change. */
export function liveNumbers() {
  const cell = (name) => {
    const value = h("dd", {}, "–");
    return [value, h("div", {}, h("dt", {}, name), value)];
  };
  const [[rate, one], [p50, two], [p99, three], [waiting, four], [errors, five]] = ["req/s", "p50", "p99", "in flight", "errors"].map(cell);
  return {
    element: h("dl", { class: "live" }, one, two, three, four, five),
    update: (live) => {
      rate.textContent = live ? digits(Number(live.per_second ?? 0)) : "–";
      p50.textContent = duration(live?.latency_ms?.p50);
      p99.textContent = duration(live?.latency_ms?.p99);
      waiting.textContent = live ? `${live.in_flight ?? 0}${live.queued ? ` + ${live.queued}` : ""}` : "–";
      errors.textContent = live ? String(live.errors ?? 0) : "–";
    },
  };
}
