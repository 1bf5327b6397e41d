"""Thousands of damaged ONNX, zip, npz and TorchScript files: the outcome of each, which must be a clean error.

    python -m benchmarks.fuzz [--files 1000] [--seed 0] [--json FILE]

A tenth as many are TorchScript files, because torch takes long to export each.
"""

import argparse
import io
import json
import sys
import time
from pathlib import Path

import torch

from tests.e2e.attacks.fuzz import fuzz, kinds


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--files", type=int, default=1000, help="the number of damaged files of each kind")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    buffer = io.BytesIO()
    module = torch.nn.Sequential(torch.nn.Linear(4, 4), torch.nn.ReLU()).eval()
    torch.jit.save(torch.jit.trace(module, torch.ones(2, 4)), buffer)
    rows, failed = [], []
    for name, kind in kinds(buffer.getvalue()).items():
        begun, count = time.perf_counter(), options.files // 10 if name == "torchscript" else options.files
        ends, unclean = fuzz(kind, count, options.seed)
        rows.append({"kind": name, "files": count, "ends": dict(ends.most_common()), "unclean": len(unclean),
                     "seconds": round(time.perf_counter() - begun, 1)})  # fmt: skip
        print(json.dumps(rows[-1]), flush=True)
        failed += unclean
    for detail in failed:
        print(detail, file=sys.stderr)
    if options.json:
        options.json.write_text(json.dumps(rows, indent=1) + "\n")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
