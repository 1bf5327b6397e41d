"""quantd as one of the quantizers that are compared: its presets, and specs that the documentation recommends.

    python -m benchmarks.ours NAME MODEL OUT REAL [CALIBRATION EVALUATION]

quantizes one model in this process and prints seconds, peak memory and figures of the report. With REAL = 1 the job
gets calibration data only, as the other tools do; else it evaluates its result itself.
"""

import gc
import json
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks import child
from benchmarks.networks import completed
from quant.errors import QuantdError
from quant.job_process import load
from quant.pipeline import Inputs, Outcome, quantize_model
from quant.spec import PRESETS

SPECS: Mapping[str, dict[str, Any]] = {
    **{preset: {"preset": preset} for preset in PRESETS},
    "int4, feedback": {"preset": "int4", "weights": {"rounding": "error_feedback"}},
    "int8, auto": {
        "preset": "int8",
        "activations": {"clipping": "auto"},
        "equalization": "auto",
        "smoothing": "auto",
    },
}
"""The specs by their names in the tables."""
NOT_TIMED = {"measure": {"latency": False}}
"""The other quantizers do not measure the latency of their result."""


def quantize(name: str, model: Path, out: Path, sets: dict[str, Path]) -> dict[str, Any]:
    """Quantize a model with a spec of `SPECS`; write the file `out` and return the figures."""
    spec = completed(model, {**SPECS[name], **NOT_TIMED}, "calibration" in sets)
    outcomes: list[Outcome] = []
    load()  # as in the process from which jobs are forked
    gc.freeze()
    with tempfile.TemporaryDirectory() as folder:

        def run() -> None:
            inputs = Inputs(model, model.name, spec, sets.get("calibration"), sets.get("evaluation"))
            outcomes.append(quantize_model(inputs, Path(folder), lambda *_: None))

        figures = child.measured(run)
        summary = outcomes[0].summary
        out.write_bytes(Path(folder, "model.onnx").read_bytes())
        warnings = json.loads(Path(folder, "report.json").read_text())["warnings"]
    return {
        **figures,
        "layers": summary.layers,
        "quantized_layers": summary.quantized_layers,
        "size_ratio": summary.size_ratio,
        "report_db": summary.output_sqnr_db,
        "warnings": len(warnings),
    }


def main() -> None:
    name, model, out, real, *files = sys.argv[1:]
    sets = dict(zip(("calibration", "evaluation"), map(Path, files), strict=False))
    if real == "1":
        del sets["evaluation"]
    try:
        child.answer(quantize(name, Path(model), Path(out), sets))
    except QuantdError as error:
        child.answer({"refused": error.code, "detail": str(error)})


if __name__ == "__main__":
    main()
