"""Random faults under a deployment with three tenants, and a check of every promise from outside.

    python -m benchmarks.chaos [--jobs 200] [--seeds 1 2 3] [--every 8] [--json FILE]
    python -m benchmarks.chaos --attacks [--json FILE]
    python -m benchmarks.chaos --page

Two gateways, two workers, a record store with a replica and an S3 server run on this machine. Faults are drawn from a
seed: processes are killed and stopped, stores are slow, hang, refuse writes or fail over, disks are full, and a
worker's clock is wrong. Full disks need root, wrong clocks a C compiler; faults that lack these are left out.

`--attacks` repeats the attacks that broke the service once. Each call replaces its part of FILE, and `--page` writes
docs/reliability.md from docs/reliability.json.
"""

import argparse
import json
import math
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.reliability.attacks import ROOT, repeat
from benchmarks.reliability.figures import figures
from benchmarks.reliability.page import page
from benchmarks.reliability.run import run
from benchmarks.reliability.site import LEASE_S

HISTORY = "history.json"
FIGURES, PAGE = ROOT / "docs" / "reliability.json", ROOT / "docs" / "reliability.md"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--jobs", type=int, default=200)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--every", type=float, default=8.0, help="the mean seconds between two faults")
    parser.add_argument("--seconds", type=float, default=math.inf, help="submit no more jobs after so many seconds")
    parser.add_argument("--attacks", action="store_true", help="repeat the attacks instead")
    parser.add_argument("--page", action="store_true", help="write the page and run nothing")
    parser.add_argument("--folder", type=Path, help="keeps logs, data and histories; else they are deleted")
    parser.add_argument("--json", type=Path, default=FIGURES)
    options = parser.parse_args()
    document = stored(options.json)
    if options.attacks:
        document["attacks"] = repeat()
    elif not options.page:
        document = run_seeds(options)
    options.json.write_text(json.dumps(document, indent=1) + "\n")
    if options.json == FIGURES:
        PAGE.write_text(page(document))
    broken = any(promise["violations"] for row in document["runs"] for promise in row["promises"])
    return 1 if broken or any(attack["failed"] for attack in document["attacks"]) else 0


def run_seeds(options: argparse.Namespace) -> dict[str, Any]:
    """Run each seed and return the document of FILE, in which its figures replace those of the same seed."""
    document: dict[str, Any] = {}
    for seed in options.seeds:
        with tempfile.TemporaryDirectory(prefix="chaos-") as temporary:
            folder = (options.folder or Path(temporary)) / str(seed)
            begun = time.monotonic()
            history = run(folder.absolute(), options.jobs, seed, options.every, options.seconds)
            history.write(folder / HISTORY)
        seconds = round(time.monotonic() - begun)
        row = {"seed": seed, "commit": commit(), "every_s": options.every, "seconds": seconds, **figures(history)}
        print(json.dumps(row, indent=1), flush=True)
        document = stored(options.json)  # several calls may write the same file
        rows = [*(each for each in document["runs"] if each["seed"] != seed), row]
        document |= {"setting": setting(), "runs": sorted(rows, key=lambda each: int(each["seed"]))}
        options.json.write_text(json.dumps(document, indent=1) + "\n")
    return document


def stored(path: Path) -> dict[str, Any]:
    """Return the document of a file; one without figures if there is none."""
    return json.loads(path.read_text()) if path.exists() else {"runs": [], "attacks": []}


def setting() -> dict[str, Any]:
    """Return the circumstances of the runs, which the page names."""
    names = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    processor = names[0].partition(": ")[2] if names else "an unknown processor"
    return {"environment": f"{processor}, {len(os.sched_getaffinity(0))} cores", "lease_s": LEASE_S}


def commit() -> str:
    """Return the commit of the service that is run."""
    command = ["git", "rev-parse", "--short", "HEAD"]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()


if __name__ == "__main__":
    sys.exit(main())
