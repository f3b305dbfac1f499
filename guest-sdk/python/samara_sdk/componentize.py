"""Makes a component of the project in the current folder:

    python3 -m samara_sdk.componentize target/function.wasm

The function is in `function.py`. `componentize-py` does the work; it is taken from
the project's `.venv`, from an active environment or from `PATH`.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

SDK = Path(__file__).resolve().parent.parent
WIT = SDK.parent / "wit"
MODULE = "samara_sdk.component"


def main(arguments):
    if len(arguments) != 1:
        sys.exit("usage: python3 -m samara_sdk.componentize OUTPUT.wasm")
    output = Path(arguments[0])
    if not Path("function.py").is_file():
        sys.exit(f"error: there is no `function.py` in `{Path.cwd()}`")
    program, environment = tool()
    output.parent.mkdir(parents=True, exist_ok=True)
    unfinished = output.with_name(f".{output.name}.{os.getpid()}")
    command = [program, "--quiet", "-d", WIT, "-w", "samara-function", "componentize"]
    command += ["-p", ".", "-p", SDK, MODULE, "-o", unfinished]
    try:
        status = subprocess.run(command, env=environment, check=False).returncode
        if status == 0:
            unfinished.replace(output)
    finally:
        unfinished.unlink(missing_ok=True)
    sys.exit(status)


def tool():
    """The program, and the environment whose packages go into the component."""
    own = Path(".venv").resolve()
    in_venv = own / "bin" / "componentize-py"
    if in_venv.is_file():
        return in_venv, {**os.environ, "VIRTUAL_ENV": str(own)}
    found = shutil.which("componentize-py")
    if found is None:
        sys.exit(
            "error: `componentize-py` is not installed; "
            "run `python3 -m venv .venv && .venv/bin/pip install -r requirements.txt` first"
        )
    return found, dict(os.environ)


if __name__ == "__main__":
    main(sys.argv[1:])
