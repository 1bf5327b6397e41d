"""The table of layers: its columns, and the layers in the order of the worst."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

from quant.outcome.report import Report
from quant.outcome.report.layer import LayerEntry
from quant.report.page.layer_view import (
    Cell,
    Column,
    LayerView,
    facts,
    layer_figures,
    layer_legend,
    missing,
    share_cell,
    shift_after_cell,
    shift_before_cell,
    sqnr_cell,
)
from quant.report.page.texts import EXACT_DB, percent, size

MAX_DRAWN = 150
"""The most layers whose charts are drawn: the worst ones. More would make the page large."""

WORST_LAYERS = 5
"""The most layers that are marked as the worst."""


def table_columns(report: Report) -> list[Column]:
    """Return the columns of the table of layers; a figure that no layer has gets none. One of them is sorted."""
    layers = report.layers
    measured = [layer.output.sqnr_db for layer in layers if layer.output is not None]
    shares = [layer.error_share for layer in layers if layer.error_share is not None]
    highest = max(
        [value for value in (*measured, *(layer.weight.sqnr_db for layer in layers)) if value < EXACT_DB],
        default=EXACT_DB,
    )
    columns = [
        Column("Layer", "Press a name for the charts and the alternatives.", numeric=False),
        Column("No.", "Position in the network."),
        Column("Operator", "", lambda layer: Cell(layer.op, layer.op, numeric=False), numeric=False),
        Column("Weight", "Shape of the weight; sorted by the number of weights.", _shape_cell, first="descending"),
        Column("Bits", "Bits of a code of the weight.", lambda layer: Cell(str(layer.bits), str(layer.bits))),
    ]
    if shares:
        columns.append(_share_column(report, max(shares) or 1.0))
    if measured:
        columns.append(_output_column(highest))
    columns.append(
        Column(
            "Weight SQNR",
            "In dB: energy of the weights over the energy of their errors, measured on all weights.",
            lambda layer: sqnr_cell(layer.weight.sqnr_db, highest),
        )
    )
    if measured:
        columns += _shift_columns(report)
    columns.append(
        Column(
            "Size",
            "Codes and scales of the weight in the exported file.",
            lambda layer: Cell(size(layer.bytes_after), str(layer.bytes_after)),
            first="descending",
        )
    )
    return _sorted_column(columns)


def layer_views(report: Report, columns: Sequence[Column], common: Sequence[str]) -> list[LayerView]:
    """Return the layers in the order of the sorted column, the worst first, at most `MAX_DRAWN` of them with charts."""
    index, column = next((index, column) for index, column in enumerate(columns) if column.sorted)
    sign = -1 if column.sorted == "descending" else 1
    views = [
        LayerView(
            number=number,
            entry=layer,
            worst=False,
            cells=[column.cell(layer) for column in columns if column.cell is not None],
            facts=list(facts(layer)),
            figures=(),
            legend=(),
            missing=[sentence for sentence in missing(layer) if sentence not in common],
        )
        for number, layer in enumerate(report.layers, 1)
    ]

    def key(view: LayerView) -> tuple[bool, float, int]:
        value = view.cells[index - 2].value
        return (value == "", sign * float(value or 0), view.number)

    ordered = [replace(view, worst=place < WORST_LAYERS) for place, view in enumerate(sorted(views, key=key))]
    drawn = [
        replace(view, figures=list(layer_figures(view.entry)), legend=layer_legend(view.entry))
        for view in ordered[:MAX_DRAWN]
    ]
    note = f"Charts are drawn for the {MAX_DRAWN} worst layers only; report.json has the data of all."
    return drawn + [replace(view, missing=[*view.missing, note]) for view in ordered[MAX_DRAWN:]]


def network_note(columns: Sequence[Column], layers: Sequence[LayerView], common: Sequence[str]) -> str:
    """Return the order of the table, which layers are marked, and the sentences that hold for all layers."""
    column = next(column for column in columns if column.sorted)
    worst = sum(layer.worst for layer in layers)
    end = "largest" if column.sorted == "descending" else "smallest"
    title = column.title[0].lower() + column.title[1:]
    marked = f"The table begins with the {end} {title}; its first {worst} layers are marked red."
    return " ".join([marked, *common])


def common_reasons(report: Report) -> list[str]:
    """Return the sentences on missing figures that hold for every layer."""
    reasons = [missing(layer) for layer in report.layers]
    return [sentence for sentence in reasons[0] if all(sentence in others for others in reasons)] if reasons else []


def _share_column(report: Report, highest: float) -> Column:
    basis = report.error_share_basis
    meaning = (
        "Error at the model's outputs when the weights of this layer alone are quantized, divided by the sum over all "
        f"layers; measured on {basis.samples} calibration samples."
    )
    if basis.weights is not None and basis.activations is not None:
        meaning += (
            f" All weights together cause an error of {percent(basis.weights, 2)} of the outputs' energy, the "
            f"activations {percent(basis.activations, 2)}."
        )
    return Column("Share of weights’ error", meaning, lambda layer: share_cell(layer, highest), first="descending")


def _output_column(highest: float) -> Column:
    return Column(
        "Output SQNR",
        "In dB: energy of the layer's float output over the energy of the difference, with all layers before it "
        "quantized; on held-out samples of the calibration set.",
        lambda layer: sqnr_cell(None if layer.output is None else layer.output.sqnr_db, highest),
    )


def _shift_columns(report: Report) -> Iterator[Column]:
    """Yield the columns of the mean shifts; the one before bias correction only if a bias was corrected."""
    samples = report.total_mean_shift.samples
    meaning = (
        "Mean over the channels of |E[quantized − float]| at the layer's output, in its unit, with its standard error; "
        f"on {samples} held-out samples of the calibration set."
    )
    if any(layer.output is not None and layer.output.mean_shift_before is not None for layer in report.layers):
        yield Column("Shift before", f"Without bias correction. {meaning}", shift_before_cell, first="descending")
        meaning = "The same in the quantized model, with bias correction."
    yield Column("Shift after", meaning, shift_after_cell, first="descending")


def _sorted_column(columns: Sequence[Column]) -> list[Column]:
    """Return the columns with one marked as sorted: the share of the error, or else the SQNR of outputs or weights."""
    titles = [column.title for column in columns]
    title = next(title for title in ("Share of weights’ error", "Output SQNR", "Weight SQNR") if title in titles)
    return [replace(column, sorted=column.first) if column.title == title else column for column in columns]


def _shape_cell(layer: LayerEntry) -> Cell:
    return Cell("×".join(map(str, layer.weight_shape)), str(layer.parameters))
