"""Serving side by side: requests per second and latency of several servers.

    python run.py --samara RELEASE/samara --benches RELEASE/samara-benches
                  --guest function_iris.wasm [--json OUT.json] [NAME...]

`cargo xtask bench serving` builds what is needed and calls this. All servers
run at the same time, idle but for the one that is driven; they are driven in
turn, several rounds, and the round with the median throughput is printed.
"""

import argparse
import contextlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import onnxruntime

from contestants import ALL, IRIS, Contestant, Missing
from processes import end_with_parent, post, running, tail

HERE = Path(__file__).resolve().parent
JSON = {"Content-Type": "application/json"}
ROWS = [[5.1, 3.5, 1.4, 0.2], [6.7, 3.0, 5.2, 2.3]]
TOLERANCE = 1e-5
WARM_UP_S = 2


def main() -> None:
    end_with_parent()
    options = arguments()
    if shutil.which("wrk") is None:
        sys.exit("`wrk` is missing; on Debian: `apt-get install wrk`")
    with tempfile.TemporaryDirectory(prefix="samara-serving-") as folder, contextlib.ExitStack() as stack:
        folder = Path(folder)
        body = folder / "request.json"
        body.write_bytes(request(ROWS[0]))
        present = start(options, folder, stack)
        for contestant in present:
            drive(contestant, body, WARM_UP_S, options)
        rounds = [
            {contestant.name: drive(contestant, body, options.seconds, options) for contestant in present}
            for _ in range(options.rounds)
        ]
    results = {contestant.name: median([one[contestant.name] for one in rounds]) for contestant in present}
    report(results, options)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"which of {', '.join(ALL)}; all if none")
    parser.add_argument("--samara", type=Path, required=True, help="the program")
    parser.add_argument("--benches", type=Path, required=True, help="the program of the benchmarks, for the ceiling")
    parser.add_argument("--guest", type=Path, required=True, help="the tests' guest that calls the model")
    parser.add_argument("--json", type=Path, help="where to write the results as JSON")
    parser.add_argument("--connections", type=int, default=8)
    parser.add_argument("--threads", type=int, default=2, help="of wrk")
    parser.add_argument("--seconds", type=int, default=8, help="of one round of one server")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    unknown = [name for name in options.names if name not in ALL]
    if unknown:
        parser.error(f"no server is called `{unknown[0]}`; there are {', '.join(ALL)}")
    return options


def start(options, folder: Path, stack: contextlib.ExitStack) -> list[Contestant]:
    """Starts every server that is wanted and can be had, and checks what it answers."""
    present = []
    for name in options.names or ALL:
        own = folder / name
        own.mkdir()
        try:
            contestant = ALL[name](options, own)
        except Missing as reason:
            print(f"skipped: {name}: {reason}", file=sys.stderr)
            continue
        stack.enter_context(running(contestant.server))
        check(contestant)
        present.append(contestant)
    if not present:
        sys.exit("no server to drive")
    return present


def request(row: list[float]) -> bytes:
    tensor = {"name": "features", "datatype": "FP32", "shape": [1, 4], "data": row}
    return json.dumps({"inputs": [tensor]}, separators=(",", ":")).encode()


def check(contestant: Contestant) -> None:
    """Refuses a server that answers wrongly; a constant can be right for one row only."""
    session = onnxruntime.InferenceSession(IRIS, providers=["CPUExecutionProvider"])
    for row in ROWS[:1] if contestant.constant else ROWS:
        answer = json.loads(post(contestant.server.base + contestant.path, request(row), JSON))
        (output,) = answer["outputs"]
        (expected,) = session.run(None, {"features": np.array([row], np.float32)})
        found = np.array(output["data"], np.float32).reshape(output["shape"])
        if found.shape != expected.shape or abs(found - expected).max() > TOLERANCE:
            raise RuntimeError(f"{contestant.name} answers {output} for {row}, but the model says {expected.tolist()}")


def drive(contestant: Contestant, body: Path, seconds: int, options) -> dict:
    command = ["wrk", f"-t{options.threads}", f"-c{options.connections}", f"-d{seconds}s", "--timeout", "10s"]
    command += ["-s", str(HERE / "drive.lua"), contestant.server.base + contestant.path]
    environment = {**os.environ, "SERVING_BODY": str(body)}
    told = subprocess.run(command, capture_output=True, text=True, env=environment)
    found = re.search(r"^RESULT (.*)$", told.stdout, re.MULTILINE)
    if told.returncode != 0 or found is None:
        raise RuntimeError(f"wrk failed against {contestant.name}: {told.stdout}{told.stderr}")
    result = json.loads(found[1])
    if result["requests"] == 0 or result["refused"] or result["broken"]:
        raise RuntimeError(f"{contestant.name} did not answer all: {result}\n{tail(contestant.server.log)}")
    result["per_second"] = result["requests"] / (result["microseconds"] / 1e6)
    return result


def median(rounds: list[dict]) -> dict:
    ordered = sorted(rounds, key=lambda one: one["per_second"])
    middle = ordered[len(ordered) // 2]
    return {**middle, "rounds_per_second": [round(one["per_second"]) for one in rounds]}


def report(results: dict, options) -> None:
    top = next((one["per_second"] for name, one in results.items() if "ceiling" in name), None)
    triton, pytriton = (results.get(name, {}).get("per_second") for name in ("Triton", "Triton through PyTriton"))
    print(f"one-row JSON requests, wrk with {options.threads} threads and {options.connections} connections,")
    print(f"the median of {options.rounds} rounds of {options.seconds} s, {os.cpu_count()} cores shared with wrk")
    print("| server | requests/s | p50 | p99 | of the ceiling | of PyTriton | of Triton |")
    print("|---|---|---|---|---|---|---|")
    for name, one in results.items():
        of_top = f"{one['per_second'] / top:.3f}" if top else ""
        of_tritons = " | ".join(f"{one['per_second'] / rival:.1f}x" if rival else "" for rival in (pytriton, triton))
        latency = f"{one['p50_us'] / 1000:.2f} ms | {one['p99_us'] / 1000:.2f} ms"
        print(f"| {name} | {one['per_second']:,.0f} | {latency} | {of_top} | {of_tritons} |")
    print()
    if options.json:
        setting = {"connections": options.connections, "threads": options.threads, "seconds": options.seconds}
        setting["cores"] = os.cpu_count()
        options.json.write_text(json.dumps({"setting": setting, "servers": results}, indent=2) + "\n")


if __name__ == "__main__":
    main()
