"""quantd as one of the quantizers that are compared: its presets, and specs that the documentation recommends.

    python -m benchmarks.ours NAME MODEL OUT REAL [CALIBRATION EVALUATION]

quantizes one model in this process and prints seconds, peak memory and figures of the report. With REAL = 1 the job
gets calibration data only, as the other tools do, or none for specs `without data`, and its file is judged as theirs.
Otherwise the job evaluates its result itself.
"""

import gc
import json
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks import child
from benchmarks.coverage_page import WITHOUT_DATA
from benchmarks.judge import judge
from benchmarks.networks import completed
from quant.errors import QuantdError
from quant.job_process import load
from quant.pipeline import Inputs, Outcome, quantize_model
from quant.spec import PRESETS

AUTO = {
    "preset": "int8",
    "activations": {"mode": "auto", "clipping": "auto"},
    "equalization": "auto",
    "smoothing": "auto",
    "keep_float": "auto",
}
"""Every search that the preset int8 can make."""
SPECS: Mapping[str, dict[str, Any]] = {
    **{preset: {"preset": preset} for preset in PRESETS},
    "int8, auto": AUTO,
    "int8, dynamic": {"preset": "int8", "activations": {"mode": "dynamic"}},
    "int4, feedback": {"preset": "int4", "weights": {"rounding": "error_feedback"}},
    "int8, dynamic" + WITHOUT_DATA: {"preset": "int8", "activations": {"mode": "dynamic"}},
    "int8-weights" + WITHOUT_DATA: {"preset": "int8-weights"},
    "int4-weights" + WITHOUT_DATA: {"preset": "int4-weights"},
}
"""The specs by their names in the tables."""
NOT_TIMED = {"measure": {"latency": False}}
"""The other quantizers do not measure the latency of their result."""


def quantize(name: str, model: Path, out: Path, sets: dict[str, Path]) -> dict[str, Any]:
    """Quantize a model with a spec of `SPECS`; write the file `out` and return the figures."""
    data_free = name.endswith(WITHOUT_DATA)
    spec = completed(model, {**SPECS[name], **NOT_TIMED}, "calibration" in sets or data_free)
    sets = {} if data_free else sets
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
    try:
        if real == "1":
            figures = quantize(name, Path(model), Path(out), {"calibration": sets["calibration"]})
            child.answer(figures | judge(Path(model), Path(out), sets["evaluation"]))
        else:
            child.answer(quantize(name, Path(model), Path(out), sets))
    except QuantdError as error:
        child.answer({"refused": error.code, "detail": str(error)})


if __name__ == "__main__":
    main()
