"""The servers that are compared. All answer for the same iris model, 4 -> 3."""

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from processes import Server, free_ports

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[2]
IRIS = ROOT / "examples" / "score-csv" / "iris.onnx"
# PyTriton's stub of the Python backend links this interpreter's library.
PYTHON_OF_RIVALS = "/usr/bin/python3.11"


class Missing(Exception):
    """Why a contestant does not take part."""


@dataclass
class Contestant:
    server: Server
    model: str = "iris"
    constant: bool = False

    @property
    def name(self) -> str:
        return self.server.name

    @property
    def path(self) -> str:
        return f"/v2/models/{self.model}/infer"


def ceiling(options, folder: Path) -> Contestant:
    (port,) = free_ports(1)
    command = [str(options.benches), "ceiling", str(port)]
    server = Server("hyper, a constant (the ceiling)", command, port, folder / "ceiling.log")
    return Contestant(server, constant=True)


def samara_model(options, folder: Path) -> Contestant:
    return samara(options, folder, "samara, the model", "iris", IRIS)


def samara_guest(options, folder: Path) -> Contestant:
    if not options.guest.exists():
        raise Missing(f"{options.guest} is missing; run `cargo xtask guests`")
    function = folder / "through-guest"
    function.mkdir()
    shutil.copy(options.guest, function / "iris.wasm")
    shutil.copy(IRIS, function / "iris.onnx")
    manifest = '[function]\nname = "through-guest"\nversion = "1.0.0"\ncomponent = "iris.wasm"\n\n'
    (function / "samara.toml").write_text(manifest + '[model.iris]\npath = "iris.onnx"\n')
    return samara(options, folder, "samara, a guest, fresh instance", "through-guest", function)


def samara(options, folder: Path, name: str, model: str, served: Path) -> Contestant:
    program = needs_serve(options.samara)
    (port,) = free_ports(1)
    command = [program, "serve", str(served), "--listen", f"127.0.0.1:{port}"]
    environment = {"SAMARA_STORE": str(folder / "store"), "XDG_CONFIG_HOME": str(folder)}
    return Contestant(Server(name, command, port, folder / f"{model}.log", environment=environment), model=model)


def needs_serve(samara: Path) -> str:
    if not samara.exists():
        raise Missing(f"{samara} is missing; run `cargo xtask bench`")
    told = subprocess.run([samara, "serve", "--help"], capture_output=True, stdin=subprocess.DEVNULL)
    if told.returncode != 0:
        raise Missing(f"{samara} has no `serve`")
    return str(samara)


def triton(options, folder: Path) -> Contestant:
    python = rival("triton")
    package = next(python.parents[1].glob("lib/python3.11/site-packages/pytriton"))
    version = folder / "models" / "iris" / "1"
    version.mkdir(parents=True)
    shutil.copy(HERE / "triton_config.pbtxt", version.parent / "config.pbtxt")
    shutil.copy(HERE / "triton_model.py", version / "model.py")
    shutil.copy(IRIS, version)
    backend = folder / "backends" / "python"
    shutil.copytree(package / "tritonserver" / "backends" / "python", backend)
    shutil.copy(package / "tritonserver" / "python_backend_stubs" / "3.11" / "triton_python_backend_stub", backend)
    port, grpc, metrics = free_ports(3)
    command = [str(package / "tritonserver" / "bin" / "tritonserver")]
    command += ["--model-repository", str(folder / "models"), "--backend-directory", str(backend.parent)]
    command += ["--http-address", "127.0.0.1", "--http-port", str(port)]
    command += ["--grpc-address", "127.0.0.1", "--grpc-port", str(grpc), "--metrics-port", str(metrics)]
    environment = {
        "PATH": f"{python.parent}:{os.environ.get('PATH', '')}",
        "PYTHONPATH": str(package.parent),
        "LD_LIBRARY_PATH": str(package.parent / "nvidia_pytriton.libs"),
    }
    return Contestant(Server("Triton", command, port, folder / "triton.log", environment=environment))


def pytriton(options, folder: Path) -> Contestant:
    port, grpc, metrics = free_ports(3)
    ports = [str(port), str(grpc), str(metrics)]
    command = [str(rival("triton")), str(HERE / "pytriton_iris.py"), str(IRIS), *ports]
    # Triton is ready before PyTriton has given it the model.
    server = Server("Triton through PyTriton", command, port, folder / "pytriton.log", ready="/v2/models/iris/ready")
    server.environment = {"PYTRITON_HOME": str(folder / "pytriton")}
    return Contestant(server)


def mlserver(options, folder: Path) -> Contestant:
    python = rival("mlserver")
    home = folder / "mlserver"
    home.mkdir()
    port, grpc, metrics = free_ports(3)
    # No worker processes: for a model as short as this one they only add a hop.
    settings = {"host": "127.0.0.1", "http_port": port, "grpc_port": grpc, "metrics_port": metrics}
    settings |= {"parallel_workers": 0, "debug": False}
    (home / "settings.json").write_text(json.dumps(settings))
    model = {"name": "iris", "implementation": "mlserver_iris.Iris", "parameters": {"uri": str(IRIS)}}
    (home / "model-settings.json").write_text(json.dumps(model))
    command = [str(python.with_name("mlserver")), "start", str(home)]
    server = Server("MLServer", command, port, folder / "mlserver.log", environment={"PYTHONPATH": str(HERE)})
    return Contestant(server)


ALL = {
    "ceiling": ceiling,
    "samara": samara_model,
    "guest": samara_guest,
    "triton": triton,
    "pytriton": pytriton,
    "mlserver": mlserver,
}


def rival(name: str) -> Path:
    """The Python of a rival's own environment in ~/.cache/samara/rivals, made where it is missing or outdated."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    folder = cache / "samara" / "rivals" / name
    wanted = (HERE / f"{name}.txt").read_text()
    python, installed = folder / "bin" / "python", folder / "installed.txt"
    if python.exists() and installed.exists() and installed.read_text() == wanted:
        return python
    if not Path(PYTHON_OF_RIVALS).exists():
        raise Missing(f"{PYTHON_OF_RIVALS} is missing, which {name} needs; on Debian 12: `apt-get install python3.11-venv`")
    print(f"installing {name} in {folder}", file=sys.stderr)
    subprocess.run([PYTHON_OF_RIVALS, "-m", "venv", folder], check=True)
    command = [python, "-m", "pip", "install", "--quiet", "--only-binary", ":all:", "-r", HERE / f"{name}.txt"]
    if subprocess.run(command).returncode != 0:
        raise Missing(f"{name} cannot be installed")
    installed.write_text(wanted)
    return python
