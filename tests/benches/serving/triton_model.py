"""The iris model for Triton's Python backend, run by ONNX Runtime.

Triton loads this file as `model.py` of its model repository; the model lies
beside it.
"""

from pathlib import Path

import onnxruntime
import triton_python_backend_utils as triton


class TritonPythonModel:
    def initialize(self, args: dict) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        model = Path(__file__).with_name("iris.onnx")
        self.session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])

    def execute(self, requests: list) -> list:
        return [self.answer(request) for request in requests]

    def answer(self, request):
        features = triton.get_input_tensor_by_name(request, "features").as_numpy()
        (probabilities,) = self.session.run(None, {"features": features})
        return triton.InferenceResponse([triton.Tensor("probabilities", probabilities)])
