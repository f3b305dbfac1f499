#!/usr/bin/env node
/** Makes a component of a module whose default export is a `samara.function(…)`. */

import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";

const WIT = fileURLToPath(new URL("../../wit", import.meta.url));

const [source, output] = process.argv.slice(2);
if (output === undefined) {
  console.error("usage: samara-componentize MODULE.js OUTPUT.wasm");
  process.exit(2);
}
try {
  await build(resolve(source), resolve(output));
} catch (error) {
  console.error(`error: ${error.message}`);
  process.exit(1);
}

/** Everything that the module imports goes into one file, and that into the component. */
async function build(source, output) {
  const { build: bundle } = await installed("esbuild");
  const { componentize } = await installed("@bytecodealliance/componentize-js");
  await mkdir(dirname(output), { recursive: true });
  const folder = await mkdtemp(`${output}.`);
  try {
    const bundled = join(folder, "function.js");
    await bundle({
      stdin: { contents: entry(source), resolveDir: process.cwd() },
      bundle: true,
      external: ["wasi:*"],
      format: "esm",
      logLevel: "warning",
      outfile: bundled,
      platform: "neutral",
      mainFields: ["module", "main"],
    });
    const { component } = await componentize({
      sourcePath: bundled,
      witPath: WIT,
      worldName: "samara-function",
      disableFeatures: ["http", "fetch-event"],
    });
    await writeFile(output, component);
  } finally {
    await rm(folder, { recursive: true });
  }
}

function entry(source) {
  return [
    `import declared from ${JSON.stringify(source)};`,
    'import { component } from "samara-sdk/component";',
    "const exported = component(declared);",
    "export { exported as function };",
  ].join("\n");
}

/**
 * A package of the project, which need not be where this one lies, nor let
 * itself be found by `require.resolve`.
 */
async function installed(name) {
  for (let folder = process.cwd(); ; folder = dirname(folder)) {
    const found = join(folder, "node_modules", name);
    try {
      const { exports, main } = JSON.parse(await readFile(join(found, "package.json"), "utf8"));
      return await import(pathToFileURL(join(found, exports?.import ?? main)));
    } catch (error) {
      if (error.code !== "ENOENT") {
        throw error;
      }
    }
    if (folder === dirname(folder)) {
      throw new Error(`${name} is not installed; run \`npm install\` in the project first`);
    }
  }
}
