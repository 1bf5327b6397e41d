"""Rows of a plan and of an inspection, as they are printed for people."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby

from quantd.figures import Document
from quantd.results import format_bytes
from quantd.rows import WARN, Row

_BASIS: Mapping[str, str] = {
    "exact": "",
    "structure": ", about: a job measures some values in the file and may leave layers in float",
    "sum": ", about: the sum of the tensors",
    "limit": " at most: a job searches for the bits and the grid of each layer",
}


def plan_rows(plan: Document) -> Iterator[Row]:
    """Yield the rows of a plan: the model, the expected size and error, the presets, the layers, the float nodes."""
    yield from _model_rows(plan["model"])
    yield Row("preset", f"{plan['spec']['preset']}{_needs(plan)}")
    yield Row("size", _size(plan["size"]) + _BASIS[plan["size"]["basis"]])
    yield Row("weight SQNR", _sqnr(plan["weight"]))
    yield Row("presets", _preset_columns("size", "of float", "SQNR", "by fits", "preset"), wrapped=False)
    for preset in plan["presets"]:
        yield Row("", _preset(preset), wrapped=False)
    yield Row("layers", f"{len(plan['layers'])} quantized")
    for kernel, layers in groupby(sorted(plan["layers"], key=_kernel), _kernel):
        yield from _layer_rows(kernel, list(layers))
    yield from _skipped_rows(plan["skipped"])
    for note, names in _by_note(plan["layers"]).items():
        yield Row("note", f"{note}: {', '.join(names)}")
    for warning in plan["warnings"]:
        yield Row("warning", warning, WARN)


def inspection_rows(inspection: Document) -> Iterator[Row]:
    """Yield the rows of an inspection: the file, its inputs and outputs, its operators and its layers."""
    model = inspection["model"]
    yield from _model_rows(model)
    yield Row("format", _format(model))
    for file in model["external_data"]:
        size = "missing" if file["bytes"] is None else format_bytes(file["bytes"])
        yield Row("data file", f"{file['location']}: {size}, {file['tensors']} weights")
    yield Row("operators", ", ".join(f"{count['operator']} {count['nodes']}" for count in model["operators"]))
    if model["functions"]:
        yield Row("functions", ", ".join(model["functions"]))
    if custom := [count["operator"] for count in model["operators"] if count["custom"]]:
        yield Row("custom", f"{', '.join(custom)}: ONNX Runtime does not have these operators", WARN)
    if inspection["layers"]:
        yield Row("layers", f"{len(inspection['layers'])} can be quantized")
    for kernel, layers in groupby(sorted(inspection["layers"], key=_kernel), _kernel):
        yield Row("", kernel)
        yield from _inspected_rows(list(layers))
    yield from _skipped_rows(inspection["skipped"])
    if inspection["refusal"] is not None:
        yield Row("refused", f"{inspection['refusal']['code']}: {inspection['refusal']['detail']}", WARN)


def _model_rows(model: Document) -> Iterator[Row]:
    yield Row("model", f"{model['name']}: {format_bytes(model['bytes'])}, {model['parameters']:,} parameters")
    for label, ports in (("inputs", model["inputs"]), ("outputs", model["outputs"])):
        for port in ports:
            yield Row(label, _port(port))
            label = ""


def _format(model: Document) -> str:
    opsets = ", ".join(f"{domain} {version}" for domain, version in model["opsets"].items())
    producer = f", written by {model['producer']}" if model["producer"] else ""
    return f"{model['container']}, IR version {model['ir_version']}, opset {opsets}{producer}"


def _port(port: Document) -> str:
    shape = "of any shape" if port["shape"] is None else f"[{', '.join(map(str, port['shape']))}]"
    batch = "" if port["batch_axis"] is None else f", batch on axis {port['batch_axis']}"
    return f"{port['name']}: {port['type']} {shape}{batch}"


def _needs(plan: Document) -> str:
    needed = {"calibration": plan["needs_calibration"], "evaluation": plan["needs_evaluation"]}
    names = [name for name, is_needed in needed.items() if is_needed]
    return f", needs {' and '.join(names)} data" if names else ", needs no data"


def _size(size: Document) -> str:
    before, after = format_bytes(size["bytes_before"]), format_bytes(size["bytes_after"])
    return f"{after}, {100 * size['size_ratio']:.1f} % of {before}"


def _sqnr(weight: Document) -> str:
    if weight["sqnr_db"] is None:
        return f"not formed: {weight['reason']}"
    expected = "" if weight["expected_sqnr_db"] is None else f"; the fits expect {weight['expected_sqnr_db']:.1f} dB"
    return f"{weight['sqnr_db']:.1f} dB on {weight['channels']} of {weight['of_channels']} channels{expected}"


def _preset(preset: Document) -> str:
    needs = " (calibration data)" if preset["needs_calibration"] else ""
    return _preset_columns(
        format_bytes(preset["size"]["bytes_after"]),
        f"{100 * preset['size']['size_ratio']:.1f} %",
        _figure(preset["weight"]["sqnr_db"]),
        _figure(preset["weight"]["expected_sqnr_db"]),
        preset["preset"] + needs,
    )


def _preset_columns(size: str, ratio: str, sqnr: str, expected: str, name: str) -> str:
    return f"{size:>9} {ratio:>9} {sqnr:>6} {expected:>8}  {name}"


def _layer_rows(kernel: str, layers: Sequence[Document]) -> Iterator[Row]:
    """Yield a row for a kernel, and one for each layer that it computes; the name is last, because it may be long."""
    yield Row("", kernel)
    yield Row("", _layer_columns("bits", "size", "SQNR", "by fits", "layer"), wrapped=False)
    for layer in layers:
        weight = layer["weight"]
        yield Row(
            "",
            _layer_columns(
                str(layer["bits"]), format_bytes(layer["bytes_after"]), _figure(weight["sqnr_db"]),
                _figure(weight["expected_sqnr_db"]), layer["name"],
            ),
            wrapped=False,
        )  # fmt: skip


def _layer_columns(bits: str, size: str, sqnr: str, expected: str, name: str) -> str:
    return f"{bits:>4} {size:>11} {sqnr:>6} {expected:>8}  {name}"


def _inspected_rows(layers: Sequence[Document]) -> Iterator[Row]:
    for layer in layers:
        shape = " x ".join(map(str, layer["weight_shape"]))
        yield Row("", f"{format_bytes(layer['bytes']):>11}  {shape:<18} {layer['name']}", wrapped=False)


def _skipped_rows(skipped: Sequence[Document]) -> Iterator[Row]:
    label = "stay float"
    for node in skipped:
        yield Row(label, f"{node['name']} ({node['op']}): {node['reason']}")
        label = ""


def _kernel(layer: Document) -> str:
    return str(layer["kernel"])


def _by_note(layers: Sequence[Document]) -> dict[str, list[str]]:
    """Return the names of the layers with each note."""
    names: dict[str, list[str]] = {}
    for layer in layers:
        for note in layer["notes"]:
            names.setdefault(note, []).append(layer["name"])
    return names


def _figure(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f}"
