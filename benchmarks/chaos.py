"""Random faults under a deployment with three tenants, and a check of every promise from outside.

    python -m benchmarks.chaos [--jobs 200] [--seeds 1 2 3] [--every 2.5] [--json FILE]

Two gateways, two workers, a record store with a replica and an S3 server run on this machine. Faults are drawn from a
seed: processes are killed and stopped, stores are slow, hang, refuse writes or fail over, disks are full, and a
worker's clock is wrong. Full disks need root, wrong clocks a C compiler; faults that lack these are left out.
"""

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.reliability.figures import figures
from benchmarks.reliability.run import run


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--jobs", type=int, default=200)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--every", type=float, default=2.5, help="the mean seconds between two faults")
    parser.add_argument("--folder", type=Path, help="keeps logs and data; without it they are deleted")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    rows: list[dict[str, Any]] = []
    for seed in options.seeds:
        with tempfile.TemporaryDirectory(prefix="chaos-") as temporary:
            folder = (options.folder or Path(temporary)) / str(seed)
            begun = time.monotonic()
            history = run(folder.absolute(), options.jobs, seed, options.every)
        rows.append({"seed": seed, "seconds": round(time.monotonic() - begun), **figures(history)})
        print(json.dumps(rows[-1], indent=1), flush=True)
    if options.json:
        options.json.write_text(json.dumps(rows, indent=1) + "\n")
    return 1 if any(promise["violations"] for row in rows for promise in row["promises"]) else 0


if __name__ == "__main__":
    sys.exit(main())
