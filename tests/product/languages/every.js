/** Uses all of the SDK inside a component: every datatype out of the host and
 * back, each kind of error, a model. */

import * as samara from "samara-sdk";

const { BYTES, FP32, Tensor } = samara;
const KINDS = "BOOL UINT8 UINT16 UINT32 UINT64 INT8 INT16 INT32 INT64 FP16 BF16 FP32 FP64 BYTES".split(" ");
const declared = (suffix) => Object.fromEntries(KINDS.map((kind) => [kind.toLowerCase() + suffix, samara[kind](-1)]));

export default samara.function(
  { inputs: { ask: BYTES(1), ...declared("") }, outputs: { answer: FP32(-1), ...declared("-out") } },
  ({ ask, ...given }) => {
    const [asked] = ask.texts();
    switch (asked) {
      case "as they are":
        return answers(given, []);
      case "values": {
        const again = ([name, tensor]) => [name, Tensor.of(tensor.values(), tensor.datatype)];
        return answers(Object.fromEntries(Object.entries(given).map(again)), []);
      }
      case "crash":
        throw new RangeError("nothing is there");
      case "model": {
        const answer = samara.model("digits").run({ pixels: [[Array(8).fill(Array(8).fill(8))]] });
        return answers(given, Array.from(answer.probabilities.values()));
      }
      case "bad model input":
        return samara.model("digits").run({ pixels: [8] });
      case "no model":
        return samara.model("letters");
      case "wrong shape":
        return answers(given, [[1], [2]]);
      default:
        throw new samara.Error(`you asked for ${asked}`, samara.ErrorKind[asked]);
    }
  },
);

function answers(tensors, answer) {
  const outputs = Object.entries(tensors).map(([name, tensor]) => [`${name}-out`, tensor]);
  return { answer, ...Object.fromEntries(outputs) };
}
