/** Reads digits that are drawn in characters: JavaScript before a model and after it. */

import * as samara from "samara-sdk";

const { BYTES, FP32, INT64 } = samara;

/** From no ink to full ink. */
const INKS = " .:-=+*#%@";
const SIDE = 8;

/**
 * The digit in each drawing of eight lines of eight characters, and the model's
 * probability of it.
 */
export default samara.function(
  { inputs: { drawing: BYTES(-1) }, outputs: { digit: INT64(-1), confidence: FP32(-1) } },
  ({ drawing }) => {
    const pictures = drawing.texts().map(pixels);
    if (pictures.length === 0) {
      return { digit: [], confidence: [] };
    }
    const answer = samara.model("digits").run({ pixels: pictures.map((picture) => [picture]) });
    const rows = answer.probabilities.toArray();
    const confidence = rows.map((row) => Math.max(...row));
    return { digit: rows.map((row, index) => row.indexOf(confidence[index])), confidence };
  },
);

function pixels(text, index) {
  const lines = text.replace(/\n$/, "").split("\n").map((line) => line.padEnd(SIDE));
  if (lines.length !== SIDE || lines.some((line) => line.length !== SIDE)) {
    const wanted = `give ${SIDE} lines of at most ${SIDE} characters`;
    throw samara.Error.invalidInput(`drawing ${index}: ${wanted}`);
  }
  return lines.map((line) => Array.from(line, (character) => ink(character, index)));
}

function ink(character, index) {
  const strength = INKS.indexOf(character);
  if (strength < 0) {
    throw samara.Error.invalidInput(`drawing ${index}: "${character}" is no ink; take from "${INKS}"`);
  }
  return strength / (INKS.length - 1);
}
