// What a function answered, shown so that it can be understood.

import { duration } from "./chart.js";
import { fill, h } from "./dom.js";
import { outputView } from "./output.js";
import { tensorFrom } from "./tensor.js";

/** Shows an answer in `place`. `described`: the function's entry of the page's interface. */
export function showAnswer(place, described, { answer, took }) {
  const tensors = [];
  const broken = [];
  for (const output of answer.outputs ?? []) {
    try {
      tensors.push(tensorFrom(output));
    } catch (error) {
      broken.push(error.message);
    }
  }
  fill(
    place,
    tensors.map((tensor) => outputView(tensor, tensors, described)),
    broken.map((message) => h("p", { class: "error" }, message)),
    tensors.length + broken.length === 0 ? h("p", { class: "muted" }, "The answer has no outputs.") : null,
    timing(answer, took),
  );
}

/** What is spoken of an answer: how long it took, and its lone values. */
export function inWords({ answer, took }) {
  const values = (answer.outputs ?? []).filter((output) => Array.isArray(output.data) && output.data.length === 1 && String(output.data[0]).length < 80);
  return [`Answered in ${duration(took)}.`, ...values.map((output) => `${output.name}: ${output.data[0]}.`)].join(" ");
}

/** Shows why there is no answer. */
export function showProblem(place, problem) {
  const kind = problem.status ? `Refused with status ${problem.status}` : problem.control !== undefined ? "Not sent" : "No answer";
  fill(place, h("div", { class: "problem", role: "alert" },
    h("h3", {}, kind),
    h("p", { class: "words" }, problem.message),
    problem.hint ? h("p", { class: "hint" }, h("b", {}, "hint: "), problem.hint) : null));
}

/** The facts that the server tells of the call, and the time that the browser saw. */
function timing(answer, took) {
  const facts = Object.entries(answer.parameters ?? {}).map(([name, value]) => [words(name), amount(name, value)]);
  const version = answer.model_version ? [["version", String(answer.model_version)]] : [];
  const rows = [...facts, ...version, ["seen by this page", duration(took)]];
  return h("dl", { class: "timing" }, rows.map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {}, value))));
}

const words = (name) => name.replace(/_(ms|us|ns)$/, "").replaceAll("_", " ");

function amount(name, value) {
  const scale = { ms: 1, us: 1e-3, ns: 1e-6 }[/_(ms|us|ns)$/.exec(name)?.[1]];
  if (scale && typeof value === "number") return duration(value * scale);
  return typeof value === "object" ? JSON.stringify(value) : String(value);
}
