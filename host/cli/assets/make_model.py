"""Writes model.onnx, the model that `samara new --template model` starts with:
the softmax of rows of three numbers.

    python3 make_model.py
"""

from pathlib import Path

import onnx
from onnx import TensorProto, helper

x = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["rows", 3])
probabilities = helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["rows", 3])
node = helper.make_node("Softmax", ["x"], ["probabilities"], axis=-1)
graph = helper.make_graph([node], "softmax", [x], [probabilities])
model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
onnx.checker.check_model(model)
(Path(__file__).parent / "model.onnx").write_bytes(model.SerializeToString())
