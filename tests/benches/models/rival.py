"""onnxruntime as Python calls it, told what to do line by line.

    python rival.py FOLDER THREADS awake|asleep

FOLDER is what `make.py` wrote; threads wait for each other awake or asleep. The lines, and what each prints:

    choose CASE       the case of what follows; 0
    open              opens a session for it; the nanoseconds that it took
    run COUNT         runs it COUNT times; the nanoseconds of all
    answer FILE       writes the last answer's first output as raw floats; how many
    memory N shared   the growth of this process in KiB by N sessions, or by one that N threads
    memory N each     share, after N runs at once
"""

import json
import sys
import threading
import time
from pathlib import Path

import numpy as np
import onnxruntime

NUMBERS = {"FP32": np.float32, "INT64": np.int64}


class Rival:
    def __init__(self, folder: Path, threads: int, waits: str) -> None:
        self.folder = folder
        self.options = onnxruntime.SessionOptions()
        self.options.intra_op_num_threads = threads
        self.options.add_session_config_entry("session.intra_op.allow_spinning", str(int(waits == "awake")))
        self.cases = {case["name"]: case for case in json.loads((folder / "cases.json").read_text())}

    def session(self) -> onnxruntime.InferenceSession:
        return onnxruntime.InferenceSession(self.file, self.options, providers=["CPUExecutionProvider"])

    def choose(self, name: str) -> int:
        case = self.cases[name]
        self.file = self.folder / case["file"]
        self.inputs = {
            taken["name"]: np.fromfile(self.folder / taken["file"], NUMBERS[taken["datatype"]]).reshape(taken["shape"])
            for taken in case["inputs"]
        }
        return 0

    def open(self, _: str) -> int:
        self.opened = None
        started = time.perf_counter_ns()
        self.opened = self.session()
        return time.perf_counter_ns() - started

    def run(self, count: str) -> int:
        session, inputs = self.opened, self.inputs
        started = time.perf_counter_ns()
        for _ in range(int(count)):
            self.last = session.run(None, inputs)
        return time.perf_counter_ns() - started

    def answer(self, file: str) -> int:
        values = np.asarray(self.last[0]).astype(np.float32)
        values.tofile(file)
        return values.size

    def memory(self, told: str) -> int:
        number, how = told.split(" ")
        number = int(number)
        before = resident()
        sessions = [self.session() for _ in range(number if how == "each" else 1)]
        running = [
            threading.Thread(target=lambda session=sessions[worker % len(sessions)]: session.run(None, self.inputs))
            for worker in range(number)
        ]
        for thread in running:
            thread.start()
        for thread in running:
            thread.join()
        return resident() - before


def resident() -> int:
    """What this process alone has in memory, in KiB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("RssAnon:"))


def main() -> None:
    rival = Rival(Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3])
    for line in sys.stdin:
        what, _, rest = line.rstrip("\n").partition(" ")
        print(getattr(rival, what)(rest), flush=True)


if __name__ == "__main__":
    main()
