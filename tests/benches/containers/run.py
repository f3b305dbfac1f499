"""Containers side by side: a function, the same model in Python, and a program that
says hello, on one containerd.

    python run.py --samara RELEASE/samara --shim RELEASE/containerd-shim-samara-v1
                  --programs FOLDER-OF-CONTAINERD [--rounds 15] [--counts 1 20 50]

`cargo xtask bench containers` builds what is needed and calls this. Needs root. The
contestants are started in turn; medians are printed. Networks are the host's.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from images import function, linux, python_files
from node import RUNC, SAMARA, Node, first_answer

ROOT = Path(__file__).resolve().parents[3]
DIGITS = ROOT / "examples/digits"
HELLO = '#include <unistd.h>\nint main(void) { write(1, "hello\\n", 6); return 0; }\n'
PORT = 18600


class Served:
    """A contestant that answers requests."""

    def __init__(self, runtime: str, image: str, path: str, body: bytes, headers: dict[str, str]) -> None:
        self.runtime, self.image = runtime, image
        self.path, self.body, self.headers = path, body, headers

    def start(self, node: Node, name: str, port: int) -> None:
        variables = {"PORT": port} if self.runtime == RUNC else {"SAMARA_LISTEN": f"127.0.0.1:{port}"}
        node.run(self.runtime, self.image, name, variables, detached=True)
        answer = first_answer(port, self.path, self.body, self.headers)
        assert answer["outputs"][0]["shape"] in ([1, 10], [1]), answer

    def once(self, node: Node) -> float:
        started = time.perf_counter()
        self.start(node, "timed", PORT)
        took = time.perf_counter() - started
        node.remove("timed")
        return took


class Ending:
    """A contestant that ends by itself."""

    def __init__(self, runtime: str) -> None:
        self.runtime = runtime

    def once(self, node: Node) -> float:
        started = time.perf_counter()
        node.run(self.runtime, "hello", "timed", {}, detached=False)
        return time.perf_counter() - started


def main() -> None:
    options = arguments()
    if os.geteuid() != 0:
        sys.exit("containers need root")
    with tempfile.TemporaryDirectory(prefix="samara-containers-", dir="/tmp") as folder:
        folder = Path(folder)
        archives = make(folder, options.samara)
        node = Node(folder, options.programs, options.shim)
        try:
            for archive in archives.values():
                node.ctr("image", "import", archive)
            measure(node, options, archives)
        finally:
            node.end()


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samara", type=Path, required=True, help="the program")
    parser.add_argument("--shim", type=Path, required=True, help="containerd-shim-samara-v1")
    parser.add_argument("--programs", type=Path, required=True, help="the folder with containerd and ctr")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--counts", type=int, nargs="*", default=[1, 20, 50])
    return parser.parse_args()


def make(folder: Path, samara: Path) -> dict[str, Path]:
    subprocess.run([samara, "build", DIGITS], check=True, capture_output=True)
    model = folder / "model"
    model.mkdir()
    (model / "samara.toml").write_text('[function]\nname = "model"\n[model.model]\npath = "digits.onnx"\n')
    (model / "digits.onnx").write_bytes((DIGITS / "digits.onnx").read_bytes())
    (folder / "hello.c").write_text(HELLO)
    subprocess.run(["cc", "-O2", "-static", "-o", folder / "hello", folder / "hello.c"], check=True)
    home = f"PYTHONHOME={sys.base_prefix}"
    return {
        "model": function(samara, folder, model, "model"),
        "digits": function(samara, folder, DIGITS, "digits"),
        "python": linux(folder, "python", python_files(model / "digits.onnx"), ["/python", "/server.py"], home),
        "hello": linux(folder, "hello", {"/hello": folder / "hello"}, ["/hello"]),
    }


def contestants() -> dict[str, Served | Ending]:
    tensor = {"name": "pixels", "datatype": "FP32", "shape": [1, 1, 8, 8], "data": [0.5] * 64}
    request = json.dumps({"inputs": [tensor]}).encode()
    plain = {"Content-Type": "application/json"}
    picture = (DIGITS / "seven.png").read_bytes()
    picture = len(picture).to_bytes(4, "little") + picture
    parameters = {"binary_data_size": len(picture)}
    head = {"inputs": [{"name": "image", "datatype": "BYTES", "shape": [1], "parameters": parameters}]}
    head = json.dumps(head).encode()
    binary = {"Content-Type": "application/octet-stream", "Inference-Header-Content-Length": str(len(head))}
    return {
        "the model, samara": Served(SAMARA, "model", "/v2/models/model/infer", request, plain),
        "`digits`, samara": Served(SAMARA, "digits", "/v2/models/digits/infer", head + picture, binary),
        "the model, Python, runc": Served(RUNC, "python", "/", request, plain),
        "hello, runc": Ending(RUNC),
        "hello, samara": Ending(SAMARA),
    }


def measure(node: Node, options: argparse.Namespace, archives: dict[str, Path]) -> None:
    print(node.ctr("version").split("Server:")[1].split("Version:")[1].split()[0], "is containerd's version\n")
    for name, archive in archives.items():
        print(f"image {name}: {archive.stat().st_size / 1024:.1f} KiB")
    all_of_them = contestants()
    first = all_of_them["`digits`, samara"].once(node)
    print(f"`digits`, samara, first on the node: {first * 1000:.0f} ms\n")
    times: dict[str, list[float]] = {name: [] for name in all_of_them}
    for counted in range(-1, options.rounds):
        for name, contestant in all_of_them.items():
            took = contestant.once(node)
            # The first round warms caches.
            if counted >= 0:
                times[name].append(took)
    print(f"| container | median of {options.rounds} | lowest | highest |\n|---|---|---|---|")
    for name, taken in times.items():
        print(f"| {name} | {show(statistics.median(taken))} | {show(min(taken))} | {show(max(taken))} |")
    ratio(times, "the model, Python, runc", "the model, samara", "5x or more")
    ratio(times, "hello, runc", "the model, samara", "1x or more")
    memory = {}
    print("\n| container | how many | PSS, each | private, each | processes |\n|---|---|---|---|---|")
    for count in options.counts:
        for name, contestant in all_of_them.items():
            if isinstance(contestant, Served):
                memory[name, count] = together(node, name, contestant, count)
    for count in options.counts:
        pss, private, _ = (memory["the model, Python, runc", count][i] / memory["the model, samara", count][i] for i in range(3))
        print(f"\nwith {count}: {pss:.1f}x less PSS than Python, {private:.1f}x less that is private (budget: 10x)")


def together(node: Node, name: str, contestant: Served, count: int) -> tuple[float, float, int]:
    """Starts so many, and looks at the memory of each."""
    for number in range(count):
        contestant.start(node, f"held-{number}", PORT + number)
    pss, private, processes = node.memory()
    for number in range(count):
        node.remove(f"held-{number}")
    while node.processes():
        time.sleep(0.05)
    print(f"| {name} | {count} | {pss / count:.1f} MiB | {private / count:.1f} MiB | {processes} |", flush=True)
    return pss / count, private / count, processes


def ratio(times: dict[str, list[float]], theirs: str, ours: str, budget: str) -> None:
    factor = statistics.median(times[theirs]) / statistics.median(times[ours])
    print(f"\n{ours} is {factor:.2f}x as fast as {theirs} (budget: {budget})")


def show(seconds: float) -> str:
    return f"{seconds * 1000:.0f} ms"


if __name__ == "__main__":
    main()
