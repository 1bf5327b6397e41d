"""`python -m quant`: one job in a process of its own, told in JSON lines on standard output.

The last line is `{"event": "done", ...}` (exit 0) or `{"event": "error", ...}` (exit 1).
"""

import argparse
import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from quant.errors import QuantdError
from quant.pipeline import Inputs, quantize_model


def main() -> int:
    options = _parser().parse_args()
    spec = json.loads(options.spec.read_text())
    inputs = Inputs(options.model, options.name or options.model.name, spec, options.calibration, options.evaluation)
    options.out.mkdir(parents=True, exist_ok=True)
    try:
        outcome = quantize_model(inputs, options.out, _progress)
    except QuantdError as error:
        faults = [asdict(fault) for fault in error.errors]
        _tell(
            {
                "event": "error",
                "code": error.code,
                "title": error.title,
                "detail": error.detail,
                "errors": faults,
            }
        )
        return 1
    _tell({"event": "done", **asdict(outcome)})
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m quant", description="Quantize one ONNX model.")
    parser.add_argument("model", type=Path, help="the ONNX file")
    parser.add_argument("--spec", type=Path, required=True, help="the spec as a JSON object")
    parser.add_argument("--calibration", type=Path, help=".npz or .npy")
    parser.add_argument("--evaluation", type=Path, help=".npz or .npy, with labels for top-1")
    parser.add_argument("--out", type=Path, required=True, help="the folder for the artifacts")
    parser.add_argument("--name", help="the model's name in the report")
    return parser


def _progress(stage: str, done: int, total: int, message: str) -> None:
    _tell({"event": "progress", "stage": stage, "done": done, "total": total, "message": message})


def _tell(event: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(event) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
