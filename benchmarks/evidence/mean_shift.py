"""Mean shift of quantized outputs and loss of accuracy, on 500 small networks for MNIST (Jonkus 2026).

Weights have 4 bits and are quantized with one scale for a layer or for each channel. The clip bound is the largest |w|
(MinMax) or the bound of the least expected absolute error of the best of four fitted families (analytical). Biases and
activations stay in float. Calibration images correct the biases layer by layer; other images measure.

The published work reports one shift, whose definition could not be read. Five definitions are measured.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.stats import pearsonr, ttest_rel, wilcoxon

from benchmarks.evidence.ensemble import (
    Architecture,
    Digits,
    Judgement,
    Layers,
    judge,
    outputs_of,
    train,
)
from benchmarks.evidence.plots import scatter
from benchmarks.evidence.study import Row, Table, environment_of, table
from quant.spec import resolve
from quant.weights.granularity import PerChannel
from quant.weights.quantize import clip_bound, decoded, fit_weight, quantize_weight

KEYS = ("architectures", "first", "second", "hidden", "seed")
NETWORKS = 25
"""Networks that are trained together."""
ONE = Architecture(8, 16, 0)
SEVERAL = tuple(
    Architecture(*sizes)
    for sizes in (
        (4, 8, 0), (4, 8, 16), (4, 16, 0), (4, 16, 32), (6, 12, 32),
        (8, 8, 0), (8, 8, 16), (8, 16, 0), (8, 16, 16), (12, 16, 0),
    )
)  # fmt: skip
RULES = ("minmax", "analytical")
GRANULARITIES = ("layer", "channel")
CALIBRATION = 1000
"""Training images that biases are corrected with."""
SHIFTS = {
    "s1_sum": "sum over layers and channels",
    "s2_mean": "sum over layers of the mean over channels",
    "s3_layer": "sum over layers of the shift of the layer's mean",
    "s4_logits": "sum over the channels of the last layer",
    "s5_relative": "s2, in standard deviations of the float channel",
}
"""The definitions of the total shift of the outputs' means: absolute values are summed."""
PUBLISHED = {"minmax": 0.707, "analytical": 0.761}
"""Pearson's r in the published work."""


def run(path: Path, *, quick: bool) -> None:
    """Measure the study into the CSV file `path`; the quick form has one fifteenth of the networks."""
    data = {role: Digits.of(role) for role in ("train", "test")}

    def measured(_: str, first: int, second: int, hidden: int, seed: int) -> list[Row]:
        return list(_rows(Architecture(first, second, hidden), seed, data))

    one = [("one", ONE.first, ONE.second, ONE.hidden, seed) for seed in range(2 if quick else 20)]
    several = [
        ("several", item.first, item.second, item.hidden, 100 + seed)
        for item in (SEVERAL[:1] if quick else SEVERAL)
        for seed in range(1 if quick else 2)
    ]
    Table(path, KEYS).measure([*one, *several], measured)


def _rows(architecture: Architecture, seed: int, data: dict[str, Digits]) -> Iterator[Row]:
    """Yield the figures of each network, granularity and rule of one ensemble."""
    layers = train(architecture, NETWORKS, data["train"], seed=seed)
    order = torch.randperm(len(data["train"].labels), generator=torch.Generator().manual_seed(seed))[:CALIBRATION]
    calibration = Digits(data["train"].patches[order], data["train"].labels[order])
    before = judge(layers, data["test"])
    for granularity in GRANULARITIES:
        for rule in RULES:
            quantized = [(_quantized(weight, granularity, rule), bias) for weight, bias in layers]
            corrected = _corrected(layers, quantized, calibration)
            judged = [judge(item, data["test"]) for item in (quantized, corrected)]
            shifts, left = (_shifts(before, after) for after in judged)
            losses = [100 * (before.accuracy - after.accuracy) for after in judged]
            error = _weight_error(layers, quantized)
            for number in range(NETWORKS):
                yield {
                    "network": number, "granularity": granularity, "rule": rule,
                    "float_accuracy": 100 * float(before.accuracy[number]), "loss": float(losses[0][number]),
                    "loss_corrected": float(losses[1][number]), "weight_mae": float(error[number]),
                    **{name: float(value[number]) for name, value in shifts.items()},
                    "s1_sum_corrected": float(left["s1_sum"][number]),
                }  # fmt: skip


def _quantized(weight: torch.Tensor, granularity: str, rule: str) -> torch.Tensor:
    """Return the weights (E, inputs, outputs) of all networks after rounding to 4 bits."""
    clipping = "minmax" if rule == "minmax" else "mae"
    spec = resolve({"preset": "int4-weights", "weights": {"granularity": "channel", "clipping": clipping}}).weights
    values = weight.numpy() if granularity == "layer" else weight.numpy().transpose(0, 2, 1)
    rows = values.reshape(len(values), -1) if granularity == "layer" else values.reshape(-1, values.shape[2])
    fitted = fit_weight(np.ascontiguousarray(rows), PerChannel(0), spec)
    result = decoded(quantize_weight(fitted, spec, clip_bound(fitted, spec))).reshape(values.shape)
    return torch.from_numpy(np.ascontiguousarray(result if granularity == "layer" else result.transpose(0, 2, 1)))


def _corrected(layers: Layers, quantized: Layers, calibration: Digits) -> Layers:
    """Return the quantized layers with the shifts of the outputs' means taken from the biases, layer by layer."""
    expected = [output.mean(1, keepdim=True) for output in outputs_of(layers, calibration.patches)]
    corrected = list(quantized)
    for number in range(len(layers)):
        weight, bias = corrected[number]
        shift = outputs_of(corrected[: number + 1], calibration.patches)[-1].mean(1, keepdim=True) - expected[number]
        corrected[number] = (weight, bias - shift)
    return corrected


def _shifts(before: Judgement, after: Judgement) -> dict[str, NDArray[np.float64]]:
    """Return each total shift of the networks (E,)."""
    differences = [quantized - reference for reference, quantized in zip(before.means, after.means, strict=True)]
    relative = [
        np.abs(difference) / np.maximum(deviation, 1e-6)
        for difference, deviation in zip(differences, before.deviations, strict=True)
    ]
    return {
        "s1_sum": sum(np.abs(item).sum(1) for item in differences),
        "s2_mean": sum(np.abs(item).mean(1) for item in differences),
        "s3_layer": sum(np.abs(item.mean(1)) for item in differences),
        "s4_logits": np.abs(differences[-1]).sum(1),
        "s5_relative": sum(item.mean(1) for item in relative),
    }


def _weight_error(layers: Layers, quantized: Layers) -> NDArray[np.float64]:
    """Return the mean absolute error of all weights of each network (E,), in units of their mean |w|."""
    pairs = [(before[0], after[0]) for before, after in zip(layers, quantized, strict=True)]
    error = sum((after - before).abs().sum((1, 2)) for before, after in pairs)
    return np.asarray(error / sum(before.abs().sum((1, 2)) for before, _ in pairs), np.float64)


def page(path: Path) -> str:
    """Return the page of the study in Markdown."""
    rows = Table(path, KEYS).rows()
    parts = [INTRODUCTION.format(environment=environment_of(path))]
    for name, title in (("one", "One architecture"), ("several", "Ten architectures")):
        chosen = [row for row in rows if row["architectures"] == name]
        parts += [f"## {title}", _sentence(chosen), _correlations(chosen), _losses(chosen)]
    return "\n\n".join(parts) + "\n"


def plot(path: Path) -> None:
    """Write the plot of the study beside its CSV file."""
    rows = [row for row in Table(path, KEYS).rows() if row["architectures"] == "one" and row["granularity"] == "layer"]
    groups = {rule: (_column(rows, rule, "s4_logits"), _column(rows, rule, "loss")) for rule in RULES}
    scatter(path.with_suffix(".svg"), groups, "total shift of the means of the logits", "loss of accuracy in points")


def _column(rows: Sequence[dict[str, Any]], rule: str, name: str) -> NDArray[np.float64]:
    return np.array([float(row[name]) for row in rows if row["rule"] == rule])


def _select(rows: Sequence[dict[str, Any]], granularity: str) -> list[dict[str, Any]]:
    return [row for row in rows if row["granularity"] == granularity]


def _sentence(rows: Sequence[dict[str, Any]]) -> str:
    networks = len(rows) // (len(RULES) * len(GRANULARITIES))
    mean = np.mean([row["float_accuracy"] for row in rows])
    return f"{networks} networks; the float networks recognise {mean:.2f} % of the 10,000 test images."


def _correlations(rows: Sequence[dict[str, Any]]) -> str:
    """Return the table of Pearson's r between loss and shift, with 95 % confidence intervals (Fisher 1921)."""
    lines = []
    for granularity in GRANULARITIES:
        for rule in RULES:
            chosen = _select(rows, granularity)
            loss = _column(chosen, rule, "loss")
            cells = []
            for name in (*SHIFTS, "weight_mae"):
                result = pearsonr(_column(chosen, rule, name), loss)
                low, high = result.confidence_interval(0.95)
                cells.append(f"{result.statistic:.2f} [{low:.2f}, {high:.2f}]")
            lines.append((granularity, rule, *cells))
    return table(("scale for each", "clip bound", *SHIFTS, "weight MAE"), lines)


def _losses(rows: Sequence[dict[str, Any]]) -> str:
    """Return the table of losses before and after the correction, and how often the analytical bound is better."""
    lines: list[tuple[Any, ...]] = []
    for granularity in GRANULARITIES:
        chosen = _select(rows, granularity)
        losses = {rule: _column(chosen, rule, "loss") for rule in RULES}
        for rule in RULES:
            mean, sd = losses[rule].mean(), losses[rule].std(ddof=1)
            before, after = (_column(chosen, rule, name).mean() for name in ("s1_sum", "s1_sum_corrected"))
            lines.append(
                (
                    granularity, rule, f"{mean:.2f} ± {sd:.2f}",
                    f"{_column(chosen, rule, 'loss_corrected').mean():.2f}",
                    f"{before:.2f}", f"{after:.2f}", f"{_column(chosen, rule, 'weight_mae').mean():.4f}",
                )
            )  # fmt: skip
    better = []
    for granularity in GRANULARITIES:
        chosen = _select(rows, granularity)
        minmax, analytical = (_column(chosen, rule, "loss") for rule in RULES)
        p = ttest_rel(minmax, analytical).pvalue
        rank = wilcoxon(minmax, analytical).pvalue
        better.append(
            f"With a scale for each {granularity}, the analytical bound loses less in "
            f"{(analytical < minmax).mean():.0%} of the networks, by "
            f"{np.mean(minmax - analytical):.2f} points in the mean (paired t test p = {p:.1g}, "
            f"Wilcoxon p = {rank:.1g})."
        )
    header = (
        "scale for each", "clip bound", "loss of accuracy in points (mean ± sd)", "after bias correction", "s1",
        "s1 after correction", "weight MAE / mean abs. weight",
    )  # fmt: skip
    return table(header, lines) + "\n\n" + " ".join(better)


INTRODUCTION = (
    """# Mean shift and accuracy

Does the shift of the outputs' means explain the accuracy that 4-bit weights lose? Jonkus (2026) reports a Pearson
correlation of .761 with analytical clip bounds and of .707 with MinMax over 500 small networks for MNIST. The
architecture and the definition of the shift could not be read, so this study states its own.

Every network has a convolution of 5 x 5 with stride 2, a convolution of 3 x 3 with stride 3 and one or two linear
layers, and is trained for one epoch of the 60,000 images (AdamW, batch 64, learning rate log-uniform in 0.001 to 0.01,
weight decay 0 to 0.5). Biases are corrected layer by layer with 1,000 training images. Measured on: {environment}.

The total shift adds absolute differences of channel means before the ReLU:

"""
    + "\n".join(f"- {name}: {text};" for name, text in SHIFTS.items())[:-1]
    + "."
)
