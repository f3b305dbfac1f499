"""A containerd of the benchmark's own, and the containers on it."""

import json
import os
import shutil
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path

SAMARA = "io.containerd.samara.v1"
RUNC = "io.containerd.runc.v2"


class Node:
    def __init__(self, folder: Path, programs: Path, shim: Path) -> None:
        self.folder = folder
        self.socket = folder / "c.sock"
        self.client = programs / "ctr"
        config = folder / "config.toml"
        config.write_text(
            f'version = 2\nroot = "{folder}/root"\nstate = "{folder}/state"\n'
            'disabled_plugins = ["io.containerd.grpc.v1.cri", "io.containerd.internal.v1.opt"]\n'
            f'[grpc]\naddress = "{self.socket}"\n[ttrpc]\naddress = "{self.socket}.ttrpc"\n'
        )
        # runc's shim of the system: a newer one asks for a newer runc.
        path = f"{shim.parent}:{programs}:/usr/sbin:/usr/bin:/sbin:/bin"
        environment = {**os.environ, "PATH": path, "SAMARA_NODE_FOLDER": str(folder / "node")}
        self.log = (folder / "containerd.log").open("w")
        command = [programs / "containerd", "--config", config]
        self.containerd = subprocess.Popen(command, env=environment, stdout=self.log, stderr=self.log)
        while subprocess.run(self.command("version"), capture_output=True).returncode != 0:
            time.sleep(0.05)

    def command(self, *words: object) -> list[str]:
        return [str(self.client), "--address", str(self.socket), "--namespace", "bench", *map(str, words)]

    def ctr(self, *words: object) -> str:
        done = subprocess.run(self.command(*words), capture_output=True, text=True)
        if done.returncode != 0:
            raise RuntimeError(f"ctr {' '.join(map(str, words))}:\n{done.stderr}")
        return done.stdout

    def run(self, runtime: str, image: str, name: str, variables: dict[str, object], detached: bool) -> None:
        words = ["run", "--runtime", runtime, "--net-host"]
        for key, value in variables.items():
            words += ["--env", f"{key}={value}"]
        self.ctr(*words, "--detach" if detached else "--rm", f"localhost/{image}:1", name)

    def remove(self, name: str) -> None:
        self.ctr("task", "rm", "--force", name)
        self.ctr("container", "rm", name)

    def processes(self) -> list[int]:
        """The shims, and all that they started."""
        parents, shims = {}, set()
        for entry in Path("/proc").iterdir():
            if not entry.name.isdigit():
                continue
            try:
                line = (entry / "cmdline").read_text()
                status = (entry / "status").read_text()
            except (FileNotFoundError, ProcessLookupError):
                continue
            parents[int(entry.name)] = int(status.split("PPid:")[1].split()[0])
            if "containerd-shim" in line and str(self.socket) in line:
                shims.add(int(entry.name))

        def belongs(pid: int) -> bool:
            while pid in parents:
                if pid in shims:
                    return True
                pid = parents[pid]
            return False

        return [pid for pid in parents if belongs(pid)]

    def memory(self) -> tuple[float, float, int]:
        """PSS and what is private of it, in MiB, and how many processes have it."""
        shared, private, count = 0, 0, 0
        for pid in self.processes():
            try:
                lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
            except (FileNotFoundError, ProcessLookupError):
                continue
            numbers = {line.split(":")[0]: int(line.split()[1]) for line in lines if line.endswith("kB")}
            shared += numbers["Pss"]
            private += numbers["Private_Clean"] + numbers["Private_Dirty"]
            count += 1
        return shared / 1024, private / 1024, count

    def end(self) -> None:
        for name in self.ctr("container", "ls", "--quiet").split():
            self.remove(name)
        while self.processes():
            time.sleep(0.05)
        self.containerd.terminate()
        self.containerd.wait()
        self.log.close()
        shutil.rmtree(self.folder / "state", ignore_errors=True)


def first_answer(port: int, path: str, body: bytes, headers: dict[str, str]) -> dict:
    """Asks until there is an answer."""
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", body, headers)
    until = time.monotonic() + 60
    while True:
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return json.loads(answer.read().split(b"\0")[0])
        except (urllib.error.URLError, ConnectionError):
            if time.monotonic() > until:
                raise
            time.sleep(0.001)
