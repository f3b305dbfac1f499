"""The iris model behind PyTriton, which starts Triton and hands it batches.

    python pytriton_iris.py MODEL.onnx HTTP_PORT GRPC_PORT METRICS_PORT
"""

import sys

import numpy as np
import onnxruntime
from pytriton.decorators import batch
from pytriton.model_config import ModelConfig, Tensor
from pytriton.triton import Triton, TritonConfig


def main() -> None:
    model, *ports = sys.argv[1:]
    http_port, grpc_port, metrics_port = map(int, ports)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])

    @batch
    def infer(features: np.ndarray) -> list[np.ndarray]:
        return session.run(None, {"features": features})

    config = TritonConfig(
        http_address="127.0.0.1",
        http_port=http_port,
        grpc_address="127.0.0.1",
        grpc_port=grpc_port,
        metrics_port=metrics_port,
        log_verbose=0,
    )
    with Triton(config=config) as triton:
        triton.bind(
            model_name="iris",
            infer_func=infer,
            inputs=[Tensor(name="features", dtype=np.float32, shape=(4,))],
            outputs=[Tensor(name="probabilities", dtype=np.float32, shape=(3,))],
            config=ModelConfig(max_batch_size=64),
        )
        triton.serve()


if __name__ == "__main__":
    main()
