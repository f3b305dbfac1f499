// Calls of the server: with the token if there is one, and errors with the
// server's own words.

import { parseJson } from "./json.js";
import { tensorBytes, tensorJson } from "./tensor.js";

/** Tensors with more elements travel outside of the JSON. */
const LARGEST_IN_JSON = 4096;
const TOKEN = "samara-token";

/** What went wrong, with the server's words where it had some. */
export class CallError extends Error {
  /** `status`: the HTTP status, or 0 where there was no answer. */
  constructor(message, status) {
    const lines = message.split("\n");
    super(lines.filter((line) => !line.startsWith("hint: ")).join("\n").trim());
    this.hint = lines.filter((line) => line.startsWith("hint: ")).map((line) => line.slice(6)).join("\n");
    this.status = status;
  }
}

export function token() {
  try {
    return sessionStorage.getItem(TOKEN) ?? "";
  } catch {
    return "";
  }
}

export function keepToken(value) {
  try {
    sessionStorage.setItem(TOKEN, value);
  } catch {
    // Without storage, the server goes on asking.
  }
}

/** An address of this server; paths are relative, so that a proxy may serve all of it under a prefix. */
export const address = (path) => new URL(path, document.baseURI.split("#")[0]).href;

/** `fetch` with the token; throws a CallError where nobody answers. */
export async function send(path, options = {}) {
  const headers = new Headers(options.headers);
  if (token() && !headers.has("authorization")) headers.set("authorization", `Bearer ${token()}`);
  try {
    const response = await fetch(address(path), { cache: "no-store", ...options, headers });
    if (response.status === 401) document.dispatchEvent(new Event("tokenwanted"));
    return response;
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new CallError("The server does not answer.\nhint: see whether it still runs; the page tries again by itself", 0);
  }
}

/** JSON of the page's own interface. */
export async function getJson(path) {
  const response = await send(path);
  const text = await response.text();
  if (!response.ok) throw refusal(response, text);
  return parseJson(text);
}

export const functions = async () => (await getJson("api/functions")).functions ?? [];
export const live = () => getJson("api/live");
export const testCase = (name, test) => getJson(`api/functions/${encodeURIComponent(name)}/tests/${encodeURIComponent(test)}`);

/** The path of the protocol's infer call. */
export function inferPath(name, version) {
  const model = `v2/models/${encodeURIComponent(name)}`;
  return version ? `${model}/versions/${encodeURIComponent(version)}/infer` : `${model}/infer`;
}

/** The request as JSON text, all tensors inside. */
export const requestJson = (tensors) => `{"inputs":[${tensors.map(tensorJson).join(",")}]}`;

/** Asks a function; the answer is the response as parsed JSON, and how long it took in ms. */
export async function infer(name, version, tensors, signal) {
  const { body, headers } = encoded(tensors);
  const began = performance.now();
  const response = await send(inferPath(name, version), { method: "POST", body, headers, signal });
  const text = await response.text();
  const took = performance.now() - began;
  if (!response.ok) throw refusal(response, text);
  try {
    return { answer: parseJson(text), took };
  } catch {
    throw new CallError("The server's answer is no JSON.", response.status);
  }
}

/** Small requests as JSON; large tensors behind it, as the binary extension has them. */
function encoded(tensors) {
  if (!tensors.some(isLarge)) return { body: requestJson(tensors), headers: { "content-type": "application/json" } };
  const parts = [];
  const inputs = tensors.map((tensor) => {
    if (!isLarge(tensor)) return tensorJson(tensor);
    const bytes = tensorBytes(tensor);
    parts.push(bytes);
    const { name, datatype, shape } = tensor;
    return JSON.stringify({ name, datatype, shape, parameters: { binary_data_size: bytes.length } });
  });
  const json = new TextEncoder().encode(`{"inputs":[${inputs.join(",")}]}`);
  return {
    body: new Blob([json, ...parts]),
    headers: { "content-type": "application/octet-stream", "inference-header-content-length": String(json.length) },
  };
}

function isLarge({ datatype, elements }) {
  if (datatype !== "BYTES") return elements.length > LARGEST_IN_JSON;
  return elements.some((element) => element instanceof Uint8Array && element.length > 8 * LARGEST_IN_JSON);
}

function refusal(response, text) {
  let message = "";
  try {
    const { error } = JSON.parse(text);
    message = typeof error === "string" ? error : (error?.message ?? "");
  } catch {
    message = text.slice(0, 2000);
  }
  const words = message || response.statusText || "The server gave no reason.";
  const wait = response.headers.get("retry-after");
  return new CallError(wait ? `${words}\nhint: try again in ${wait} s` : words, response.status);
}
