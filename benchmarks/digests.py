"""Digests of the artifacts of every model in the data folder, at every preset.

    python benchmarks/digests.py OUT.json [--data ../shared/data] [--only NAME ...]
    python benchmarks/digests.py --compare BEFORE.json AFTER.json

Before and after a change that must not affect results, this shows whether it does. A run has two digests: of
`model.onnx` without its `quantd.*` metadata (the version and the digest of the spec), and of all numbers in
`report.json`, in their order, without its texts.
"""

import argparse
import hashlib
import json
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import onnx
from networks import DATA, completed, datasets, samples_beside

from quant.errors import QuantdError
from quant.pipeline import Inputs, quantize_model

PRESETS = ("int8", "int8-weights", "int4", "int4-weights", "codebook4", "ternary")
SEARCHES: dict[str, dict[str, Any]] = {
    "auto": {"preset": "int8", "activations": {"bits": 8, "clipping": "auto"}, "equalization": "auto"},
    "error_feedback": {"preset": "int4", "weights": {"bits": 4, "rounding": "error_feedback"}},
    "budget": {"preset": "int4", "budget": {"max_size_ratio": 0.16}},
    "budget, data-free": {"preset": "int4-weights", "budget": {"max_size_ratio": 0.2}},
    "smallest": {"preset": "int4", "objective": "smallest_within_gates", "gates": {"min_output_sqnr_db": 20}},
    "generic, reversed": {"preset": "int8", "export": {"profile": "generic"}, "equalization": "cross_layer"},
}
"""Specs that run the searches and the other storage forms."""
ADDED = frozenset({"activation", "data_findings"})
"""Entries of the report that older digests do not cover."""
SEARCHED = ("resnet20_cifar10", "vit_mnist", "dtln_1", "vww_mobilenetv1_025", "g1_policy")
"""The models to which the specs of SEARCHES apply."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path, nargs="?")
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--only", nargs="*", default=[])
    parser.add_argument("--compare", type=Path, nargs=2)
    parser.add_argument("--reports", type=Path, help="a folder to keep the reports in")
    arguments = parser.parse_args()
    if arguments.compare:
        raise SystemExit(compare(*(json.loads(path.read_text()) for path in arguments.compare)))
    digests: dict[str, dict[str, dict[str, str]]] = {}
    for path in model_files(arguments.data):
        if not arguments.only or path.stem in arguments.only:
            digests[path.name] = digests_of(path, arguments.data, arguments.reports)
            arguments.out.write_text(json.dumps(digests, indent=1) + "\n")
            print(path.name, flush=True)


def model_files(data: Path) -> Iterator[Path]:
    """Yield the models of the data folder and of the folder `field` beside it."""
    for folder in (data / "models", data / "coverage", data / "modern", data.parent / "field"):
        yield from (path for path in sorted(folder.iterdir()) if path.suffix in (".onnx", ".pt", ".jit"))


def digests_of(path: Path, data: Path, reports: Path | None) -> dict[str, dict[str, str]]:
    """Return the digests of one model's artifacts by the name of the spec; an error code if the job fails."""
    specs: dict[str, dict[str, Any]] = {preset: {"preset": preset} for preset in PRESETS}
    if path.stem in SEARCHED and path.suffix == ".onnx":
        specs |= SEARCHES
    with tempfile.TemporaryDirectory() as folder:
        sets = dict(data_of(path, data, Path(folder)))
        digests = {}
        for name, spec in specs.items():
            whole = completed(path, spec, bool(sets))
            digests[name] = run(path, whole, sets, Path(folder, "out"), reports and reports / name)
        return digests


def data_of(path: Path, data: Path, folder: Path) -> Iterator[tuple[str, Path]]:
    """Yield role and path of the calibration and evaluation files beside a model, or of random ones."""
    beside = samples_beside(path)
    yield from beside.items() if beside else datasets(path, data, folder)


def run(
    path: Path, spec: Mapping[str, Any], sets: Mapping[str, Path], out: Path, reports: Path | None
) -> dict[str, str]:
    """Run one job and return the digests of its artifacts."""
    out.mkdir(exist_ok=True)
    try:
        quantize_model(Inputs(path, path.name, spec, **sets), out, lambda *_: None)
    except QuantdError as error:
        return {"error": error.code}
    except Exception as error:  # noqa: BLE001 - a defect is a result
        return {"error": type(error).__name__}
    report = out.joinpath("report.json").read_bytes()
    if reports is not None:
        reports.mkdir(parents=True, exist_ok=True)
        (reports / f"{path.name}.json").write_bytes(report)
    model = onnx.load(out / "model.onnx")
    metadata = [entry for entry in model.metadata_props if not entry.key.startswith("quantd.")]
    del model.metadata_props[:]
    model.metadata_props.extend(metadata)
    numbers = json.dumps(list(numbers_in(json.loads(report))))
    return {
        "model": hashlib.sha256(model.SerializeToString(deterministic=True)).hexdigest(),
        "report": hashlib.sha256(numbers.encode()).hexdigest(),
    }


def numbers_in(document: Any) -> Iterator[float | bool | None]:
    """Yield the numbers, booleans and nulls of a JSON document in their order."""
    if isinstance(document, dict):
        document = [value for key, value in document.items() if key not in ADDED]
    elif not isinstance(document, list):
        if not isinstance(document, str):
            yield document
        return
    for value in document:
        yield from numbers_in(value)


def compare(before: Mapping[str, Any], after: Mapping[str, Any]) -> int:
    """Print the runs that differ; return 1 if there are any, else 0."""
    cells = [(model, preset) for model in before for preset in before[model]]
    missing = [cell for cell in cells if cell[1] not in after.get(cell[0], {})]
    different = [
        (model, preset, part)
        for model, preset in cells
        if (model, preset) not in missing
        for part in before[model][preset]
        if before[model][preset].get(part) != after[model][preset].get(part)
    ]
    for model, preset in missing:
        print(f"missing: {model} at {preset}")
    for model, preset, part in different:
        print(f"different: {part} of {model} at {preset}: {before[model][preset]} {after[model][preset]}")
    print(f"{len(cells)} runs, {len(missing)} missing, {len({cell[:2] for cell in different})} different")
    return int(bool(missing or different))


if __name__ == "__main__":
    main()
