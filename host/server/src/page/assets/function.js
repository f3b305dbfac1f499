// The view of one function: its facts, its form, its answer, the call as code.

import { infer, testCase } from "./api.js";
import { inWords, showAnswer, showProblem } from "./answer.js";
import { latencyChart } from "./chart.js";
import { codePanel } from "./code.js";
import { fill, h, select } from "./dom.js";
import { signatureForm } from "./fields.js";
import { httpPanel } from "./http.js";
import { parseJson } from "./json.js";
import { badge, factList, liveNumbers, reasonText, signatureText } from "./list.js";

/** The view of `described`; `.update(live)`, `.describe(described)`, `.close()`. */
export function functionView(described) {
  const chart = latencyChart([600, 90], true);
  const numbers = liveNumbers();
  const facts = h("div", { class: "facts-place" }, factList(described));
  const changed = h("p", { class: "notice", role: "status", hidden: true }, "Another build of this function is served now. ", h("a", { href: "", onclick: (event) => { event.preventDefault(); document.dispatchEvent(new Event("redraw")); } }, "Show it"));
  const caller = described.kind === "http" ? httpPanel(described) : described.signature ? inferPanels(described) : { element: null };
  const element = h("article", { "aria-labelledby": "title", class: "view" },
    h("header", { class: "pagehead" },
      h("nav", { "aria-label": "Place" }, h("a", { href: "#/" }, "Functions"), h("span", { "aria-hidden": "true" }, " / ")),
      h("h1", { id: "title", tabindex: "-1" }, described.name), badge(described)),
    h("p", { class: "signature" }, signatureText(described)),
    described.description ? h("p", { class: "muted" }, described.description) : null,
    reasonText(described), changed, facts, caller.element,
    h("section", { class: "panel", "aria-labelledby": "live-title" }, h("header", {}, h("h2", { id: "live-title" }, "Now")), numbers.element, chart));
  element.update = (live) => {
    const own = live.functions?.[described.name];
    chart.update(live.now_ms / 1000, own?.history);
    numbers.update(own);
  };
  element.describe = (newer) => {
    changed.hidden = newer.digest === described.digest && newer.version === described.version && newer.state === described.state && JSON.stringify(newer.signature) === JSON.stringify(described.signature);
    fill(facts, factList(newer));
  };
  element.close = caller.close;
  return element;
}

/** The form on the left, the answer on the right, the code below. */
function inferPanels(described) {
  const answer = h("div", { class: "answer" }, h("p", { class: "muted" }, "The answer appears here."));
  const spoken = h("p", { class: "unseen", role: "status" });
  const code = codePanel();
  const note = h("p", { class: "error", role: "alert" });
  const form = signatureForm(described.signature, () => {
    note.textContent = "";
    code.clear();
  });
  const go = h("button", { type: "submit", class: "go", title: "Ctrl+Enter" }, "Run");
  const stop = h("button", { type: "button", class: "quiet", hidden: true, onclick: () => running?.abort() }, "Stop");
  let [running, version] = [null, ""];

  async function run(event) {
    event?.preventDefault();
    if (running) return;
    running = new AbortController();
    note.textContent = "";
    spoken.textContent = "";
    busy(true);
    try {
      const tensors = await form.read();
      code.show(described.name, version, tensors);
      const result = await infer(described.name, version, tensors, running.signal);
      showAnswer(answer, described, result);
      spoken.textContent = inWords(result);
    } catch (problem) {
      const isStopped = problem.name === "AbortError";
      showProblem(answer, isStopped ? { message: "You stopped the call.", status: 0 } : problem);
      problem.control?.focus();
    }
    busy(false);
    running = null;
  }

  function busy(isBusy) {
    answer.setAttribute("aria-busy", String(isBusy));
    go.textContent = isBusy ? "Running …" : "Run";
    go.classList.toggle("busy", isBusy);
    stop.hidden = !isBusy;
  }

  async function pick(test) {
    note.textContent = "";
    try {
      form.write(await testCase(described.name, test));
    } catch (problem) {
      note.textContent = `Test case ${test}: ${problem.message}`;
    }
  }

  function fillFrom(text) {
    try {
      form.write(parseJson(text));
      note.textContent = "";
      return true;
    } catch (problem) {
      note.textContent = `This request does not fit: ${problem.message}`;
      return false;
    }
  }

  const element = h("div", { class: "panels" },
    h("form", { class: "panel call", "aria-label": `Call ${described.name}`, novalidate: true, onsubmit: run },
      h("header", {}, h("h2", {}, "Call"), versionChoice(described, version, (value) => { version = value; code.clear(); })),
      testChips(described.tests ?? [], pick),
      form.element, note,
      h("p", { class: "actions" }, go, stop, h("span", { class: "muted small" }, "Ctrl+Enter")),
      requestPaste(fillFrom)),
    h("div", { class: "right" },
      h("section", { class: "panel", "aria-labelledby": "answer-title" }, h("header", {}, h("h2", { id: "answer-title" }, "Answer")), spoken, answer),
      code));

  const onKey = (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) run(event);
  };
  const onPaste = (event) => {
    if (form.paste(event)) event.preventDefault();
  };
  document.addEventListener("keydown", onKey);
  document.addEventListener("paste", onPaste);
  return {
    element,
    close: () => {
      running?.abort();
      document.removeEventListener("keydown", onKey);
      document.removeEventListener("paste", onPaste);
    },
  };
}

function versionChoice(described, version, chosen) {
  const versions = described.versions ?? [];
  if (versions.length < 2) return null;
  return select("Version", [["", "default"], ...versions.map((one) => [String(one), String(one)])], version, chosen);
}

function testChips(tests, pick) {
  if (tests.length === 0) return null;
  return h("div", { class: "chips", role: "group", "aria-label": "Fill in a test case" },
    h("span", { class: "muted small" }, "Test cases"),
    tests.map((test) => h("button", { type: "button", class: "chip", onclick: () => pick(test) }, test)));
}

/** A box for a whole request of the protocol. */
function requestPaste(fillFrom) {
  const box = h("textarea", { rows: "4", class: "mono", spellcheck: "false", "aria-label": "A whole request as JSON", placeholder: '{"inputs": [{"name": …, "datatype": …, "shape": …, "data": …}]}' });
  const details = h("details", {}, h("summary", {}, "Fill in from a whole request"), box,
    h("button", { type: "button", class: "quiet", onclick: () => {
      if (fillFrom(box.value)) details.open = false;
    } }, "Fill in"));
  return details;
}
