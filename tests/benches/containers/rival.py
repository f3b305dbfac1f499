"""The rival in a container: the same model behind ONNX Runtime and the HTTP server of
Python's own library, which is the least that serves it."""

import json
import os
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer

sys.path.insert(0, "/packages")

import numpy as np
import onnxruntime

options = onnxruntime.SessionOptions()
options.intra_op_num_threads = 1
session = onnxruntime.InferenceSession("/model.onnx", options)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        tensor = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["inputs"][0]
        array = np.array(tensor["data"], np.float32).reshape(tensor["shape"])
        (result,) = session.run(None, {tensor["name"]: array})
        output = {"name": "probabilities", "datatype": "FP32", "shape": result.shape, "data": result.ravel().tolist()}
        body = json.dumps({"outputs": [output]}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


HTTPServer(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()
