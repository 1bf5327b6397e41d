"""The size of the client alone: built as a wheel, installed into a fresh virtual environment, and run.

`make client-size` prints the bytes of each package, without and with compiled bytecode.
"""

import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parent.parent
LIST = """
import importlib.metadata, json
sizes = {}
for package in importlib.metadata.distributions():
    files = [file.locate() for file in package.files or ()]
    plain = sum(file.stat().st_size for file in files if file.suffix != ".pyc" and file.is_file())
    compiled = sum(file.stat().st_size for file in files if file.suffix == ".pyc" and file.is_file())
    sizes[package.metadata["Name"]] = plain, compiled
print(json.dumps(sizes))
"""


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="quantd-size-") as name:
        folder = Path(name)
        shutil.copytree(ROOT / "client", folder / "client", ignore=shutil.ignore_patterns("build", "*.egg-info"))
        subprocess.run([sys.executable, "-m", "venv", folder / "venv"], check=True)
        python = folder / "venv" / "bin" / "python"
        subprocess.run([python, "-m", "pip", "install", "--quiet", "--compile", folder / "client"], check=True)
        subprocess.run([folder / "venv" / "bin" / "quantd", "--help"], check=True, stdout=subprocess.DEVNULL)
        sizes = json.loads(subprocess.run([python, "-P", "-c", LIST], check=True, capture_output=True).stdout)
    sizes = {package: size for package, size in sizes.items() if package not in ("pip", "setuptools")}
    for package, (plain, compiled) in sorted(sizes.items(), key=lambda item: -item[1][0]):
        print(f"{plain / 1e6:6.2f} MB {(plain + compiled) / 1e6:6.2f} MB with bytecode  {package}")
    plain, compiled = (sum(size[kind] for size in sizes.values()) for kind in (0, 1))
    print(f"{plain / 1e6:6.2f} MB {(plain + compiled) / 1e6:6.2f} MB with bytecode  in {len(sizes)} packages")


if __name__ == "__main__":
    main()
