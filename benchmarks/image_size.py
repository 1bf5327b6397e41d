"""The sizes of the images, estimated without a Docker engine: each target's packages in an environment of their own.

`python -m benchmarks.image_size [TARGET ...]` installs what the Dockerfile installs, runs a job with the gateway of one
environment and the worker of another, and prints the bytes of each target and of its largest packages. The base image
comes on top.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

from jobs.process import start, stop
from jobs.valkey import Valkey

ROOT = Path(__file__).parent.parent
LIST = """
import importlib.metadata, json
files = lambda package: [file.locate() for file in package.files or ()]
print(json.dumps({
    package.metadata["Name"]: sum(file.stat().st_size for file in files(package) if file.is_file())
    for package in importlib.metadata.distributions()
}))
"""


def stages() -> dict[str, str]:
    """Return the text of each stage of the Dockerfile by its name."""
    parts = re.split(r"^(?=FROM )", (ROOT / "Dockerfile").read_text(), flags=re.M)[1:]
    return {part.split("\n")[0].rpartition(" AS ")[2]: part for part in parts}


def targets() -> dict[str, frozenset[str]]:
    """Return the extras that each target's environment has."""
    named = {name: text for name, text in stages().items() if name.endswith("-packages")}
    (extras,) = zip(*(re.findall(r"'\.\[([\w,]+)\]'", text) for text in named.values()), strict=True)
    return {
        name.removesuffix("-packages"): frozenset(found.split(",")) for name, found in zip(named, extras, strict=True)
    }


def install(folder: Path, extras: frozenset[str]) -> Path:
    """Install the client and the service with these extras as the Dockerfile does; return the interpreter."""
    source = folder / "source"
    ignored = shutil.ignore_patterns("__pycache__", "build", "*.egg-info")
    for name in ("quant", "jobs", "worker", "service", "client"):
        shutil.copytree(ROOT / name, source / name, ignore=ignored)
    for name in ("constraints.txt", "pyproject.toml", "README.md"):
        shutil.copy(ROOT / name, source)
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder / "venv"], check=True)
    python = folder / "venv" / "bin" / "python"
    pip = [sys.executable, "-m", "pip", "--python", python, "install", "--quiet", "--constraint", "constraints.txt"]
    subprocess.run([*pip, "./client", f".[{','.join(sorted(extras))}]"], cwd=source, check=True)
    subprocess.run(
        ["find", folder / "venv", "-depth", "-type", "d", "-name", "tests", "-exec", "rm", "-r", "{}", "+"], check=True
    )
    shutil.rmtree(source)
    return python


def size(folder: Path) -> int:
    """Return the bytes of the files in a folder."""
    return sum(path.lstat().st_size for path in folder.rglob("*") if not path.is_dir())


def wait_until_ready(url: str, seconds: float = 120) -> None:
    """Wait until the gateway answers; raise if it does not."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            with urllib.request.urlopen(f"{url}/readyz", timeout=5):
                return
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.2)


def run_a_job(folder: Path, gateway: Path, worker: Path) -> None:
    """Run a job with the gateway of one environment and the worker of another; raise if it does not succeed."""
    subprocess.run([worker, "-P", "-m", "quant.warm_up"], check=True)
    valkey = Valkey(folder / "valkey")
    environment = {
        **os.environ,
        "QUANTD_REDIS_URL": valkey.url,
        "QUANTD_STORE_URL": (folder / "store").as_uri(),
        "QUANTD_URL": "http://127.0.0.1:18080",
    }
    commands = ([gateway, "-P", "-m", "service", "--port", "18080"], [worker, "-P", "-m", "worker"])
    processes = [start(command, folder / "service.log", environment) for command in commands]
    try:
        wait_until_ready(environment["QUANTD_URL"])
        quantize = ["quantize", ROOT / "examples" / "digits.onnx", "--preset", "int8-weights"]
        command = [gateway.parent / "quantd", *quantize, "-o", folder / "quantized.onnx"]
        subprocess.run(command, check=True, env=environment, timeout=600)
    finally:
        for process in processes:
            stop(process)
        valkey.stop()


def main() -> None:
    chosen = sys.argv[1:] or list(targets())
    with tempfile.TemporaryDirectory(prefix="quantd-images-") as name:
        pythons = {target: install(Path(name) / target, targets()[target]) for target in chosen}
        for target, python in pythons.items():
            listed = subprocess.run([python, "-P", "-c", LIST], check=True, capture_output=True).stdout
            largest = sorted(json.loads(listed).items(), key=lambda item: -item[1])[:8]
            packages = ", ".join(f"{package} {bytes_ / 1e6:.0f}" for package, bytes_ in largest)
            print(f"{target:8} {size(python.parents[1]) / 1e6:6.0f} MB; largest: {packages}")
        if {"gateway", "worker"} <= set(pythons):
            run_a_job(Path(name), pythons["gateway"], pythons["worker"])
            print("a job ran with the packages of gateway and worker")


if __name__ == "__main__":
    main()
