"""A model of the size of ResNet-50: served, and called natively in Python.

    python large.py --samara RELEASE/samara [--threads N] [--json OUT.json]

Both run the same library, the ONNX Runtime of the tests' Python, with the same
number of threads, in turn. One client sends one picture at a time as a binary
tensor over one connection; its own work counts as serving.
"""

import argparse
import contextlib
import http.client
import json
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import onnxruntime

import resnet
from contestants import Missing, needs_serve
from processes import Server, end_with_parent, free_ports, running

SEED = 1
MODEL = "resnet"
TOLERANCE = 1e-5
BUDGET = 0.97


def main() -> None:
    end_with_parent()
    options = arguments()
    with tempfile.TemporaryDirectory(prefix="samara-serving-") as folder, contextlib.ExitStack() as stack:
        folder = Path(folder)
        function = folder / MODEL
        function.mkdir()
        resnet.make(function / "resnet.onnx")
        picture = np.random.default_rng(SEED).normal(0, 1, (1, 3, 224, 224)).astype(np.float32)
        native = Native(function / "resnet.onnx", options.threads)
        try:
            server = samara(options, folder, function)
        except Missing as reason:
            print(f"skipped: serving-large: {reason}", file=sys.stderr)
            return
        stack.enter_context(running(server))
        served = Served(server, picture)
        for one in (picture, -picture):
            check(served.call(one), native.call(one))
        measured = measure({"native": native, "served": served}, picture, options)
    report(measured, options)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samara", type=Path, required=True, help="the program")
    parser.add_argument("--threads", type=int, default=os.cpu_count(), help="of the model")
    parser.add_argument("--json", type=Path, help="where to write the results as JSON")
    parser.add_argument("--rounds", type=int, default=12)
    parser.add_argument("--calls", type=int, default=8, help="of each in one round")
    # For `run.py`, which is started in the same way.
    parser.add_argument("--benches", help=argparse.SUPPRESS)
    parser.add_argument("--guest", help=argparse.SUPPRESS)
    return parser.parse_args()


def samara(options, folder: Path, function: Path) -> Server:
    program = needs_serve(options.samara)
    manifest = f'[function]\nname = "{MODEL}"\nversion = "1.0.0"\n\n[model.resnet]\npath = "resnet.onnx"\n'
    manifest += f'backend = "onnxruntime"\nthreads = {options.threads}\n'
    (function / "samara.toml").write_text(manifest)
    library = next((Path(onnxruntime.__file__).parent / "capi").glob("libonnxruntime.so*"))
    (port,) = free_ports(1)
    command = [program, "serve", str(function), "--listen", f"127.0.0.1:{port}"]
    environment = {"SAMARA_STORE": str(folder / "store"), "XDG_CONFIG_HOME": str(folder)}
    environment["SAMARA_ONNXRUNTIME"] = os.environ.get("SAMARA_ONNXRUNTIME", str(library))
    return Server("samara", command, port, folder / "samara.log", environment=environment)


class Native:
    def __init__(self, model: Path, threads: int) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        self.session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])

    def call(self, picture: np.ndarray) -> np.ndarray:
        return self.session.run(None, {"pixels": picture})[0]


class Served:
    """One kept connection, binary tensors both ways."""

    def __init__(self, server: Server, picture: np.ndarray) -> None:
        self.connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=120)
        size = {"binary_data_size": picture.nbytes}
        tensor = {"name": "pixels", "datatype": "FP32", "shape": list(picture.shape), "parameters": size}
        self.header = json.dumps({"inputs": [tensor], "parameters": {"binary_data_output": True}}).encode()
        self.headers = {"Inference-Header-Content-Length": str(len(self.header))}

    def call(self, picture: np.ndarray) -> np.ndarray:
        body = self.header + picture.tobytes()
        self.connection.request("POST", f"/v2/models/{MODEL}/infer", body, self.headers)
        response = self.connection.getresponse()
        body = response.read()
        if response.status != 200:
            raise RuntimeError(f"samara answered {response.status}: {body[:500]!r}")
        length = int(response.headers["Inference-Header-Content-Length"])
        (output,) = json.loads(body[:length])["outputs"]
        return np.frombuffer(body[length:], np.float32).reshape(output["shape"])


def check(found: np.ndarray, expected: np.ndarray) -> None:
    if found.shape != expected.shape or abs(found - expected).max() > TOLERANCE:
        raise RuntimeError(f"samara answers otherwise than the library itself, by {abs(found - expected).max()}")


def measure(ways: dict, picture: np.ndarray, options) -> dict[str, list[float]]:
    """Returns the seconds of each call.

    A first round of each is not counted, nor is the first call of each turn: the
    library in Python keeps a core busy for a while after its last run, in wait for
    the next one.
    """
    times = {name: [] for name in ways}
    for round_number in range(options.rounds + 1):
        for name, way in ways.items():
            for call in range(options.calls + 1):
                started = time.perf_counter()
                way.call(picture)
                if round_number and call:
                    times[name].append(time.perf_counter() - started)
    return times


def report(measured: dict[str, list[float]], options) -> None:
    native, served = (statistics.median(measured[name]) for name in ("native", "served"))
    calls = options.rounds * options.calls
    print(f"a model of the size of ResNet-50, {options.threads} threads, medians of {calls} calls in turn")
    print("| ONNX Runtime in Python | samara serve, binary tensors | ratio | budget |")
    print("|---|---|---|---|")
    print(f"| {native * 1e3:.1f} ms | {served * 1e3:.1f} ms | {native / served:.3f}x | {BUDGET}x |")
    print()
    if options.json:
        result = {"threads": options.threads, "calls": calls, "native_s": native, "served_s": served}
        options.json.write_text(json.dumps({**result, "ratio": native / served}, indent=2) + "\n")


if __name__ == "__main__":
    main()
