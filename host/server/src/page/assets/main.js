// Starts the page: which view is open, what the server says, the token.

import { CallError, functions, keepToken, live } from "./api.js";
import { fill, h } from "./dom.js";
import { functionView } from "./function.js";
import { functionList } from "./list.js";

const EACH_MS = 1000;
const SLOWEST_MS = 5000;
/** The list of functions is asked for again after so many looks at what happens. */
const LIST_EVERY = 5;

const main = document.getElementById("main");
const server = document.getElementById("server");
const serverWords = document.getElementById("server-words");
const serverRate = document.getElementById("server-rate");
const gone = document.getElementById("gone");
const tokenForm = document.getElementById("token");
const tokenValue = document.getElementById("token-value");

let known = null;
let knownText = "";
let newest = null;
let view = null;
let misses = 0;
let looks = 0;
let timer = null;

/** The function in the address, `#/name`, or null for the list. */
function wanted() {
  try {
    return decodeURIComponent(location.hash.replace(/^#\/?/, "")) || null;
  } catch {
    return null;
  }
}

function draw(takeFocus) {
  if (!known) return;
  view?.close?.();
  const name = wanted();
  const described = known.find((one) => one.name === name);
  view = !name ? functionList(known) : described ? functionView(described) : missing(name);
  fill(main, view);
  document.title = name ? `${name} – samara` : "samara";
  if (newest) view.update?.(newest);
  if (takeFocus) {
    document.getElementById("title")?.focus();
    scrollTo(0, 0);
  }
}

function missing(name) {
  return h("section", {},
    h("h1", { id: "title", tabindex: "-1" }, "No such function"),
    h("p", {}, "This server has no function called “", name, "”. ", h("a", { href: "#/" }, "See those that it has"), "."));
}

async function refresh() {
  const list = await functions();
  const text = JSON.stringify(list, (_, value) => (typeof value === "bigint" ? String(value) : value));
  if (text === knownText) return;
  const isFirst = known === null;
  [known, knownText] = [list, text];
  const name = wanted();
  const described = known.find((one) => one.name === name);
  if (!isFirst && name && described && view?.describe) view.describe(described);
  else draw(false);
}

/** Looks at the server once, and plans the next look. */
async function look() {
  clearTimeout(timer);
  try {
    if (!known || misses > 0 || looks % LIST_EVERY === 0) await refresh();
    looks += 1;
    newest = await live();
    view?.update?.(newest);
    answered();
  } catch (problem) {
    unanswered(problem);
  }
  if (!document.hidden) timer = setTimeout(look, Math.min(SLOWEST_MS, EACH_MS * 2 ** Math.min(misses, 3)));
}

function answered() {
  misses = 0;
  gone.hidden = true;
  tokenForm.hidden = true;
  const all = Object.values(newest.functions ?? {});
  const rate = all.reduce((sum, one) => sum + Number(one.per_second ?? 0), 0);
  server.dataset.state = "up";
  serverRate.textContent = `· ${Math.round(rate).toLocaleString("en")} req/s`;
  say("up");
}

function unanswered(problem) {
  misses += 1;
  const isRefused = problem instanceof CallError && problem.status > 0;
  server.dataset.state = isRefused ? "refused" : "down";
  gone.hidden = isRefused;
  serverRate.textContent = "";
  say(isRefused ? (problem.status === 401 ? "token wanted" : `status ${problem.status}`) : "gone");
  if (!known) fill(main, h("p", { class: "loading" }, isRefused ? problem.message : "Waiting for the server …"));
}

/** The state is spoken when it changes, so it is not set again in vain. */
function say(words) {
  if (serverWords.textContent !== words) serverWords.textContent = words;
}

tokenForm.addEventListener("submit", (event) => {
  event.preventDefault();
  keepToken(tokenValue.value.trim());
  tokenValue.value = "";
  tokenForm.hidden = true;
  look();
});
document.addEventListener("tokenwanted", () => {
  if (!tokenForm.hidden) return;
  tokenForm.hidden = false;
  tokenValue.focus();
});
document.addEventListener("redraw", () => draw(true));
document.addEventListener("visibilitychange", () => {
  clearTimeout(timer);
  if (!document.hidden) look();
});
// A file dropped beside its place must not replace the page.
for (const name of ["dragover", "drop"]) addEventListener(name, (event) => event.preventDefault());
addEventListener("hashchange", () => draw(true));
look();
