// The same call as a program: curl, Python, JavaScript.

import { address, inferPath, requestJson, token } from "./api.js";
import { copy, download, fill, h, segments } from "./dom.js";
import { npyParts } from "./npy.js";
import { pictureType } from "./picture.js";
import { isFloat, isInteger, shapeText, tensorJson } from "./tensor.js";

/** Requests with more letters are read from a file. */
const LARGEST_TEXT = 2000;
const LANGUAGES = [["curl", "curl"], ["python", "Python"], ["javascript", "JavaScript"]];

/** The panel with the three programs; `.show(name, version, tensors)`. */
export function codePanel() {
  const code = h("code", { id: "code" });
  const saves = h("p", { class: "downloads" });
  const box = h("pre", { class: "code", tabindex: "0", role: "region", "aria-label": "The call as a program" }, code);
  let [language, call] = ["curl", null];
  const button = h("button", { type: "button", class: "quiet", id: "copy-code", onclick: () => copy(code.textContent, button) }, "Copy");
  const draw = () => {
    if (!call) return;
    const { text, files } = programs[language](call);
    code.textContent = text;
    fill(saves, files.map(({ name, parts }) => h("button", { type: "button", class: "quiet", onclick: () => download(name, parts(), "application/octet-stream") }, `Save ${name}`)));
  };
  const element = h("section", { class: "panel", "aria-labelledby": "code-title" },
    h("header", {}, h("h2", { id: "code-title" }, "The same call as"), segments("Language", LANGUAGES, language, (value) => { language = value; draw(); }), button),
    box, saves);
  element.show = (name, version, tensors) => {
    call = { name, version, tensors };
    element.hidden = false;
    draw();
  };
  element.clear = () => {
    call = null;
    element.hidden = true;
  };
  element.hidden = true;
  return element;
}

const programs = { curl, python, javascript };

/** How a request is put into a program: as text, with files inside, or all of it from a file. */
function carried({ tensors }) {
  if (tensors.some((tensor) => tensor.file) && tensors.every((tensor) => tensor.file || tensorJson(tensor).length <= LARGEST_TEXT)) return "files";
  return requestJson(tensors).length <= LARGEST_TEXT ? "text" : "saved";
}

/** The request where the bytes of files are left out: pieces of text, and file names between them. */
function pieces(tensors) {
  const all = ['{"inputs":['];
  const add = (text) => (typeof all.at(-1) === "string" ? (all[all.length - 1] += text) : all.push(text));
  tensors.forEach((tensor, index) => {
    if (index) add(",");
    if (!tensor.file) return add(tensorJson(tensor));
    if (tensor.datatype !== "BYTES") return add(tensorJson(tensor));
    add(`{"name":${JSON.stringify(tensor.name)},"datatype":"BYTES","shape":${JSON.stringify(tensor.shape)},"parameters":{"content_type":"base64"},"data":["`);
    all.push({ file: tensor.file });
    return add('"]}');
  });
  add("]}");
  return all;
}

/** Files that the program reads and that this page can save. */
function filesOf(call, kind) {
  if (kind === "saved") return [{ name: "request.json", parts: () => [requestJson(call.tensors)] }];
  if (kind !== "files") return [];
  return call.tensors.filter((tensor) => tensor.file).map((tensor) => ({ name: fileName(tensor), parts: () => [tensor.datatype === "BYTES" ? tensor.elements[0] : tensor.elements] }));
}

/** A name that no shell and no string takes apart. */
const plainName = (name) => name.replace(/[^\w.-]+/g, "_").replace(/^[-.]+/, "") || "input.bin";
function fileName({ file, datatype, elements }) {
  if (/\.\w+$/.test(file)) return plainName(file);
  const type = pictureType(datatype === "BYTES" ? elements[0] : elements);
  return plainName(`${file}.${type ? type.slice(6) : "bin"}`);
}

function curl(call) {
  const kind = carried(call);
  const lines = [`curl -sS ${quoted(address(inferPath(call.name, call.version)))}`, "-H 'Content-Type: application/json'"];
  if (token()) lines.push('-H "Authorization: Bearer $TOKEN"');
  if (kind === "text") lines.push(`-d ${quoted(requestJson(call.tensors))}`);
  if (kind === "saved") lines.push("--data-binary @request.json");
  let text = lines.join(" \\\n  ");
  if (kind === "files") {
    const body = pieces(withNames(call.tensors)).map((piece) => (typeof piece === "string" ? piece.replace(/[\\$`]/g, "\\$&") : `$(base64 < ${piece.file} | tr -d '\\n')`));
    text += ` \\\n  --data-binary @- <<REQUEST\n${body.join("")}\nREQUEST`;
  }
  return { text, files: filesOf(call, kind) };
}

const withNames = (tensors) => tensors.map((tensor) => (tensor.file ? { ...tensor, file: fileName(tensor) } : tensor));

/** A word that a POSIX shell leaves alone. */
const quoted = (text) => `'${text.replaceAll("'", "'\\''")}'`;

function javascript(call) {
  const kind = carried(call);
  const headers = ['"Content-Type": "application/json"'];
  if (token()) headers.push("Authorization: `Bearer ${process.env.TOKEN}`");
  const reads = kind === "text" ? "" : 'import { readFile } from "node:fs/promises";\n\n';
  const body = {
    text: () => JSON.stringify(requestJson(call.tensors)),
    saved: () => 'await readFile("request.json")',
    files: () => pieces(withNames(call.tensors)).map((piece) => (typeof piece === "string" ? JSON.stringify(piece) : `(await readFile(${JSON.stringify(piece.file)})).toString("base64")`)).join("\n    + "),
  }[kind]();
  const text = `${reads}const response = await fetch(${JSON.stringify(address(inferPath(call.name, call.version)))}, {
  method: "POST",
  headers: { ${headers.join(", ")} },
  body: ${body},
});
const answer = await response.json();
if (!response.ok) throw new Error(answer.error);
for (const { name, data } of answer.outputs) console.log(name, data);`;
  return { text, files: filesOf(call, kind) };
}

function python(call) {
  const base = new URL(address("."));
  const prefix = base.pathname.replace(/\/$/, "");
  const files = [];
  const inputs = call.tensors.map((tensor, index) => pythonInput(tensor, index, files));
  const options = [base.protocol === "https:" ? "ssl=True" : null].filter(Boolean).map((option) => `, ${option}`).join("");
  const version = call.version ? `, model_version=${pythonText(call.version)}` : "";
  const headers = token() ? ', headers={"Authorization": f"Bearer {os.environ[\'TOKEN\']}"}' : "";
  const names = call.tensors.map((_, index) => `input_${index}`);
  const text = [
    ...(token() ? ["import os"] : []),
    ...(inputs.some((input) => input.includes("Path(")) ? ["from pathlib import Path"] : []),
    "import numpy as np",
    "import tritonclient.http as client",
    "",
    `server = client.InferenceServerClient(${pythonText(`${base.host}${prefix}`)}${options})`,
    ...inputs,
    `answer = server.infer(${pythonText(call.name)}, [${names.join(", ")}]${version}${headers})`,
    "for output in answer.get_response()[\"outputs\"]:",
    "    print(output[\"name\"], answer.as_numpy(output[\"name\"]))",
  ].join("\n");
  return { text, files };
}

function pythonInput(tensor, index, files) {
  const { name, datatype, shape, elements } = tensor;
  const value = pythonValue(tensor, index, files);
  const array = shape.length === 1 && Number(shape[0]) === elements.length ? value : `${value}.reshape(${shape.length ? `${shape.join(", ")}` : "()"})`;
  return `input_${index} = client.InferInput(${pythonText(name)}, ${shapeText(shape).replaceAll(",", ", ")}, "${datatype}")\ninput_${index}.set_data_from_numpy(${array})`;
}

function pythonValue(tensor, index, files) {
  const { datatype, elements } = tensor;
  if (tensor.file) {
    const name = fileName(tensor);
    files.push({ name, parts: () => [datatype === "BYTES" ? elements[0] : elements] });
    return datatype === "BYTES" ? `np.array([Path(${pythonText(name)}).read_bytes()], dtype=np.object_)` : `np.fromfile(${pythonText(name)}, dtype=np.uint8)`;
  }
  if (datatype !== "BYTES" && elements.length > 200) {
    const name = `input_${index}.npy`;
    files.push({ name, parts: () => npyParts({ ...tensor, shape: [elements.length] }) });
    return `np.load("${name}")`;
  }
  return `np.array([${Array.from(elements, (element) => pythonElement(element, datatype)).join(", ")}], dtype=np.${pythonType(datatype)})`;
}

function pythonElement(element, datatype) {
  if (element instanceof Uint8Array) return `bytes.fromhex("${Array.from(element, (byte) => byte.toString(16).padStart(2, "0")).join("")}")`;
  if (typeof element === "boolean") return element ? "True" : "False";
  if (datatype === "BYTES") return `${pythonText(String(element))}.encode()`;
  if (Number.isNaN(element)) return "np.nan";
  if (element === Infinity || element === -Infinity) return element > 0 ? "np.inf" : "-np.inf";
  return String(element);
}

function pythonType(datatype) {
  if (datatype === "BOOL") return "bool_";
  if (datatype === "BYTES") return "object_";
  if (datatype === "BF16") return "float32";
  if (isFloat(datatype)) return `float${datatype.slice(2)}`;
  return isInteger(datatype) ? datatype.toLowerCase() : "object_";
}

/** A string of JSON is one of Python too, but for letters outside of the first plane, which are kept as they are. */
const pythonText = (text) => JSON.stringify(text);
