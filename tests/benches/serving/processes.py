"""Starts servers and ends them, whatever happens to this process."""

import contextlib
import ctypes
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path

READY_WITHIN_S = 120
ENDS_WITHIN_S = 10
PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None, use_errno=True)


@dataclass
class Server:
    """What is to be started: a command and where it says that it is ready."""

    name: str
    command: list[str]
    port: int
    log: Path
    ready: str = "/v2/health/ready"
    environment: dict[str, str] = field(default_factory=dict)

    @property
    def base(self) -> str:
        return f"http://127.0.0.1:{self.port}"


def end_with_parent() -> None:
    """Makes the end of the parent process, e.g. `cargo`, the end of this one."""
    _libc.prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda number, _frame: sys.exit(128 + number))


def free_ports(count: int) -> list[int]:
    """Returns ports that nobody listens on now."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]


@contextlib.contextmanager
def running(server: Server):
    """Starts a server in a process group of its own, waits until it is ready, and ends the group."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", **server.environment}
    with server.log.open("wb") as log:
        process = subprocess.Popen(
            server.command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            env=environment,
            start_new_session=True,
            preexec_fn=lambda: _libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL),
        )
    try:
        wait_until_ready(server, process)
        yield process
    finally:
        end(process)


def wait_until_ready(server: Server, process: subprocess.Popen) -> None:
    deadline = time.monotonic() + READY_WITHIN_S
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise RuntimeError(f"{server.name} ended with {process.returncode}: {tail(server.log)}")
        with contextlib.suppress(OSError):
            if urllib.request.urlopen(server.base + server.ready, timeout=5).status == 200:
                return
        time.sleep(0.05)
    raise RuntimeError(f"{server.name} was not ready after {READY_WITHIN_S} s: {tail(server.log)}")


def end(process: subprocess.Popen) -> None:
    """Interrupts a process, which then ends what it started; what is left of its group after that is killed."""
    process.send_signal(signal.SIGINT)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(ENDS_WITHIN_S)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def tail(log: Path) -> str:
    return log.read_text(errors="replace")[-2000:]


def post(url: str, body: bytes, headers: dict[str, str]) -> bytes:
    """Sends one request; an answer that is none becomes an error with its words."""
    try:
        return urllib.request.urlopen(urllib.request.Request(url, body, headers), timeout=60).read()
    except urllib.error.HTTPError as error:
        raise RuntimeError(f"{url} answered {error.code}: {error.read()[:500]!r}") from None
