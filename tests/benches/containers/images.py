"""Images for the contestants: ours by `samara pack`, the others as layers of files."""

import hashlib
import io
import json
import subprocess
import sys
import sysconfig
import tarfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
LIBRARIES = ("numpy", "numpy.libs", "onnxruntime", "flatbuffers", "google", "packaging")
# Of the standard library, what a server has no use for.
LEFT_OUT = {"test", "tests", "site-packages", "dist-packages", "ensurepip", "idlelib", "lib2to3", "tkinter"}


def function(samara: Path, folder: Path, source: Path, name: str) -> Path:
    """An archive of a function."""
    store = ["--store", str(folder / "store")]
    archive = folder / f"{name}.tar"
    reference = f"localhost/{name}:1"
    subprocess.run([samara, *store, "pack", source, "-t", reference], check=True, capture_output=True)
    subprocess.run([samara, *store, "save", reference, "--out", archive], check=True, capture_output=True)
    return archive


def linux(folder: Path, name: str, files: dict[str, Path], arguments: list[str], *variables: str) -> Path:
    """An archive of a Linux image of one layer with these files, by their paths inside."""
    layer = io.BytesIO()
    with tarfile.open(fileobj=layer, mode="w") as tar:
        for inside, outside in sorted(files.items()):
            tar.add(outside.resolve(), inside.lstrip("/"), recursive=False)
    layer = layer.getvalue()
    config = {
        "architecture": "amd64",
        "os": "linux",
        "config": {"Entrypoint": arguments, "Env": list(variables)},
        "rootfs": {"type": "layers", "diff_ids": [digest(layer)]},
    }
    config = json.dumps(config).encode()
    manifest = {
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": described(config, "application/vnd.oci.image.config.v1+json"),
        "layers": [described(layer, "application/vnd.oci.image.layer.v1.tar")],
    }
    manifest = json.dumps(manifest).encode()
    entry = described(manifest, "application/vnd.oci.image.manifest.v1+json")
    entry["annotations"] = {"io.containerd.image.name": f"localhost/{name}:1"}
    index = json.dumps({"schemaVersion": 2, "manifests": [entry]}).encode()
    archive = folder / f"{name}.tar"
    with tarfile.open(archive, "w") as tar:
        add(tar, "oci-layout", b'{"imageLayoutVersion":"1.0.0"}')
        add(tar, "index.json", index)
        for blob in (layer, config, manifest):
            add(tar, f"blobs/sha256/{digest(blob).removeprefix('sha256:')}", blob)
    return archive


def python_files(model: Path) -> dict[str, Path]:
    """This Python, its libraries that serve a model, the server, and the model."""
    program = Path(sys.executable).resolve()
    standard = Path(sysconfig.get_paths()["stdlib"])
    packages = Path(sysconfig.get_paths()["purelib"])
    files = {"/python": program, "/server.py": HERE / "rival.py", "/model.onnx": model}
    loaded = [program]
    for folder, inside in [(standard, str(standard)), *((packages / name, f"/packages/{name}") for name in LIBRARIES)]:
        for file in folder.rglob("*"):
            place = file.relative_to(folder)
            if file.is_file() and file.suffix != ".a" and not LEFT_OUT & set(place.parts):
                files[f"{inside}/{place}"] = file
                if ".so" in file.name:
                    loaded.append(file)
    for library in linked(loaded):
        files[str(library)] = library
    return files


def linked(programs: list[Path]) -> set[Path]:
    """What the loader maps for them, itself included."""
    found = set()
    for program in programs:
        lines = subprocess.run(["ldd", program], capture_output=True, text=True).stdout.splitlines()
        for line in lines:
            words = line.split()
            path = words[2] if "=>" in words and len(words) > 2 else words[0] if words else ""
            if path.startswith("/") and not path.startswith(str(Path(sys.prefix))):
                found.add(Path(path))
    return found


def described(blob: bytes, media_type: str) -> dict:
    return {"mediaType": media_type, "digest": digest(blob), "size": len(blob)}


def digest(blob: bytes) -> str:
    return f"sha256:{hashlib.sha256(blob).hexdigest()}"


def add(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    entry = tarfile.TarInfo(name)
    entry.size = len(content)
    tar.addfile(entry, io.BytesIO(content))
