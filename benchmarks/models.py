"""Every network beside all other quantizers, in one run; writes docs/coverage.md from docs/coverage.json.

    python -m benchmarks.models [--models FOLDER ...] [--only NAME ...] [--tools PATTERN ...] [--again] [--page]

Networks are those of ../shared/data (or QUANTD_DATA), and those of other folders that have NAME.onnx with
NAME_calibration.npz and NAME_evaluation.npz. Each network with real inputs is quantized by quantd with every spec of
`benchmarks/ours.py` and by every tool of `benchmarks/peers.py`, from the same calibration samples. Each measurement
runs in a process of its own with one thread. Networks with random inputs are quantized by quantd alone.

A run resumes where it stopped: measurements in docs/coverage.json are kept. --again measures again what --only and
--tools select. --page writes the page without measuring.
"""

import argparse
import json
import platform
import re
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from fnmatch import fnmatch
from importlib import metadata
from pathlib import Path
from typing import Any

from benchmarks import child, coverage_page, peers
from benchmarks.coverage_page import OURS
from benchmarks.networks import DATA, Network, networks
from benchmarks.ours import SPECS
from quant.data.read import read_dataset
from quant.graph.load.onnx_file import load

CALIBRATION, EVALUATION = 64, 400
"""The largest numbers of images that calibrate and evaluate."""
WITHOUT_PEERS = ("int8-weights", "int8", "int4-weights", "codebook4", "ternary")
"""The specs for networks without real inputs."""
DIGITS = {"seconds": 2, "peak_mb": 0, "float_ms": 3}
"""The decimals of figures; those of others are 4."""
Row = dict[str, Any]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--models", type=Path, nargs="*", default=[], help="more folders of networks with samples")
    parser.add_argument("--only", nargs="*", default=["*"], help="patterns of the names of networks")
    parser.add_argument("--tools", nargs="*", default=["*"], help="patterns of the names of tools, as in the tables")
    parser.add_argument("--again", action="store_true", help="measure again what is selected")
    parser.add_argument("--jobs", type=int, default=1, help="networks at a time, each on a processor of its own")
    parser.add_argument("--page", action="store_true", help="write the page without measuring")
    parser.add_argument("--out", type=Path, default=child.ROOT / "docs" / "coverage.md")
    arguments = parser.parse_args()
    available = list(networks(arguments.data, arguments.models))
    results = Results(arguments.out.with_suffix(".json"), available)

    def add(network: Network) -> None:
        tools = [tool for tool in tools_for(network) if any(fnmatch(tool, pattern) for pattern in arguments.tools)]
        missing = [tool for tool in tools if arguments.again or (network.path.name, tool) not in results.rows]
        for row in measure(network, missing) if missing else ():
            results.add(row)

    if not arguments.page:
        with ThreadPoolExecutor(arguments.jobs) as pool:
            list(pool.map(add, [network for network in available if matches(network, arguments.only)]))
    arguments.out.write_text(coverage_page.page(results.environment, results.ordered()))


class Results:
    """The measurements in a JSON file, which is written after each of them.

    Attributes:
        environment: the processor and the versions of the tools of the last measurement.
        rows: the measurements by network and tool.
    """

    def __init__(self, path: Path, available: list[Network]) -> None:
        self._path, self._available, self._lock = path, available, threading.Lock()
        stored = json.loads(path.read_text()) if path.exists() else {"environment": "", "rows": []}
        self.environment: str = stored["environment"]
        self.rows: dict[tuple[str, str], Row] = {(row["model"], row["tool"]): row for row in stored["rows"]}

    def add(self, row: Row) -> None:
        """Add a measurement and write the file."""
        with self._lock:
            self.rows[row["model"], row["tool"]] = row
            self.environment = environment()
            lines = ",\n".join(json.dumps(each) for each in self.ordered())
            self._path.write_text(f'{{"environment": {json.dumps(self.environment)}, "rows": [\n{lines}\n]}}\n')
            print(line(row), flush=True)

    def ordered(self) -> list[Row]:
        """Return the rows by network and tool; those of networks and tools that do not exist are left out."""
        keys = [(network.path.name, tool) for network in self._available for tool in tools_for(network)]
        return [self.rows[each] for each in keys if each in self.rows]


def matches(network: Network, patterns: list[str]) -> bool:
    return any(fnmatch(network.name, pattern) or fnmatch(network.path.name, pattern) for pattern in patterns)


def tools_for(network: Network) -> list[str]:
    """Return the names of the tools that quantize a network."""
    if not network.real:
        return [OURS + name for name in WITHOUT_PEERS]
    return [*(OURS + name for name in SPECS), *peers.PEERS]


def measure(network: Network, tools: list[str]) -> Iterator[Row]:
    """Yield the row of each tool for one network."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        sets = network.samples(folder, CALIBRATION, EVALUATION)
        head = {"model": network.path.name, "kind": network.kind, "real": network.real}
        for tool in tools:
            figures = (
                by_quantd(network, tool.removeprefix(OURS), sets, folder)
                if tool.startswith(OURS)
                else by_peer(network, tool, sets, folder)
            )
            yield {**head, "tool": tool, **rounded(figures)}


def by_quantd(network: Network, name: str, sets: dict[str, Path], folder: Path) -> Row:
    arguments = network.path, folder / "quantd.onnx", int(network.real), *sets.values()
    return child.run_child("benchmarks.ours", name, *arguments)


def by_peer(network: Network, name: str, sets: dict[str, Path], folder: Path) -> Row:
    samples, out = folder / "samples.npz", folder / "peer.onnx"
    if not samples.exists():
        peers.write_samples(samples, read_dataset(sets["calibration"], load(network.path)).singly().batches())
    try:
        python = peers.python_of(name)
    except subprocess.CalledProcessError as error:
        return {"refused": f"not installed: {child.reason(error.returncode, error.stderr)}"}
    figures = child.run_child("benchmarks.peers", name, network.path, samples, out, network.kind, python=python)
    if "refused" in figures:
        return figures
    sizes = {"size_ratio": out.stat().st_size / network.path.stat().st_size}
    return figures | sizes | child.run_child("benchmarks.judge", network.path, out, sets["evaluation"])


def rounded(figures: Row) -> Row:
    """Return the figures with the decimals of `DIGITS`."""
    numbers = {name: value for name, value in figures.items() if isinstance(value, float)}
    return {**figures, **{name: round(value, DIGITS.get(name, 4)) for name, value in numbers.items()}}


def environment() -> str:
    """Return the processor and the versions of the tools."""
    model = re.search(r"^model name\s*: (.+)$", Path("/proc/cpuinfo").read_text(), re.M)
    vnni = "with VNNI" if "vnni" in Path("/proc/cpuinfo").read_text() else "without VNNI"
    tools = ", ".join([f"onnxruntime {metadata.version('onnxruntime')}", *peers.ENVIRONMENTS]).replace("==", " ")
    return f"{model[1] if model else platform.machine()} {vnni}; {tools}"


def line(row: Row) -> str:
    """Return a row's figures for the terminal."""
    if "refused" in row:
        return f"{row['model']:28} {row['tool']:28} {row['refused']}"
    names = ("sqnr_db", "worst_db", "metric_value", "size_ratio", "latency_ratio", "seconds", "peak_mb")
    figures = " ".join(f"{'-' if row.get(name) is None else format(row[name], '.3f'):>9}" for name in names)
    return f"{row['model']:28} {row['tool']:28} {figures}"


if __name__ == "__main__":
    main()
