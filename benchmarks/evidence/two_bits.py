"""Two-bit uniform quantization of a fully connected network and its support region (Tomic et al. 2022).

A network for MNIST (784-512-512-10, ReLU) gets four uniform levels between -x and x, with x from 0.5 to 10 standard
deviations of the weights: of all weights together (global), or of each layer. For a Laplace distribution of unit
variance the squared error is known:

    D(x) = 1 - d / sqrt(2) + d^2 / 4 - sqrt(2) d exp(-sqrt(2) d),  d = x / 2.
"""

from collections.abc import Iterator
from functools import cache
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.evidence.plots import lines
from benchmarks.evidence.study import Row, Table, environment_of, table
from benchmarks.networks import DATA

KEYS = ("epochs", "scope")
WIDTHS = (784, 512, 512, 10)
THRESHOLDS = (0.5, 1.0, 1.5, 1.75, 1.9605, 2.1748, 2.4, 2.75, 3.0, 3.5, 4.0, 5.0, 7.0, 10.0)
"""Bounds in standard deviations; 1.9605 is sqrt(2) log 4 (Hui and Neuhoff 2001), 2.1748 the optimum for Laplace."""
OPTIMUM = 2.1748
SCOPES = ("global", "layer")
Weights = list[NDArray[np.float64]]


def run(path: Path, *, quick: bool) -> None:
    """Measure the study into the CSV file `path`."""
    epochs = 1 if quick else 10
    Table(path, KEYS).measure([(epochs, scope) for scope in SCOPES], lambda *case: list(_rows(*case)))


def _rows(epochs: int, scope: str) -> Iterator[Row]:
    weights, biases = _trained(epochs)
    images, labels = _images("test")
    exact = _accuracy(weights, biases, images, labels)
    everything = np.concatenate([weight.ravel() for weight in weights])
    for threshold in THRESHOLDS:
        scales = [everything.std() if scope == "global" else weight.std() for weight in weights]
        quantized = [_rounded(weight, threshold * scale) for weight, scale in zip(weights, scales, strict=True)]
        noise = np.concatenate([(after - before).ravel() for before, after in zip(weights, quantized, strict=True)])
        yield {
            "threshold": threshold, "float_accuracy": exact,
            "accuracy": _accuracy(quantized, biases, images, labels),
            "sqnr_db": 10 * np.log10(np.mean(everything**2) / np.mean(noise**2)),
            "sqnr_theory_db": -10 * np.log10(distortion(threshold)),
        }  # fmt: skip


def distortion(threshold: float) -> float:
    """Return the mean squared error of four uniform levels in [-threshold, threshold] for Laplace of unit variance."""
    step, root = threshold / 2, 2**0.5
    return float(1 - step / root + step**2 / 4 - root * step * np.exp(-root * step))


def _rounded(weight: NDArray[np.float64], bound: float) -> NDArray[np.float64]:
    """Return the weights on the levels -3/4, -1/4, 1/4 and 3/4 of the bound."""
    step = bound / 2
    return np.clip(np.floor(weight / step), -2, 1) * step + step / 2


@cache
def _trained(epochs: int) -> tuple[Weights, Weights]:
    """Return the weights (inputs, outputs) and the biases of the trained network."""
    images, labels = (torch.from_numpy(array) for array in _images("train"))
    random = torch.Generator().manual_seed(0)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        layers = [torch.nn.Linear(*sizes) for sizes in pairwise(WIDTHS)]
    model = torch.nn.Sequential(layers[0], torch.nn.ReLU(), layers[1], torch.nn.ReLU(), layers[2])
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    for _ in range(epochs):
        for part in torch.randperm(len(labels), generator=random).split(128):
            optimizer.zero_grad()
            torch.nn.functional.cross_entropy(model(images[part]), labels[part]).backward()  # type: ignore[no-untyped-call]
            optimizer.step()
    return (
        [layer.weight.detach().T.double().numpy() for layer in layers],
        [layer.bias.detach().double().numpy() for layer in layers],
    )


def _images(role: str) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    with np.load(DATA / "datasets" / f"mnist_{role}.npz") as arrays:
        return arrays["images"].reshape(-1, 784).astype(np.float32) / 255, arrays["labels"].astype(np.int64)


def _accuracy(weights: Weights, biases: Weights, images: NDArray[np.float32], labels: NDArray[np.int64]) -> float:
    """Return the top-1 accuracy in percent."""
    value = images
    for number, (weight, bias) in enumerate(zip(weights, biases, strict=True)):
        value = value @ weight.astype(np.float32) + bias.astype(np.float32)
        value = value if number == len(weights) - 1 else np.maximum(value, 0)
    return 100 * float((value.argmax(1) == labels).mean())


def page(path: Path) -> str:
    """Return the page of the study in Markdown."""
    rows = Table(path, KEYS).rows()
    by_scope = {scope: [row for row in rows if row["scope"] == scope] for scope in SCOPES}
    header = ("bound in sd", "SQNR, theory", *(f"{name}, {scope}" for scope in SCOPES for name in ("SQNR", "top-1")))
    cells = [
        (
            f"{pair[0]['threshold']:.4g}", f"{pair[0]['sqnr_theory_db']:.2f}",
            *(f"{row[name]:.2f}" for row in pair for name in ("sqnr_db", "accuracy")),
        )
        for pair in zip(*by_scope.values(), strict=True)
    ]  # fmt: skip
    best = {scope: max(chosen, key=lambda row: row["sqnr_db"])["threshold"] for scope, chosen in by_scope.items()}
    found = " and ".join(f"{bound:.4g} ({scope})" for scope, bound in best.items())
    introduction = INTRODUCTION.format(
        environment=environment_of(path), accuracy=rows[0]["float_accuracy"], epochs=rows[0]["epochs"], found=found
    )
    return f"{introduction}\n\n{table(header, cells)}\n"


def plot(path: Path) -> None:
    """Write the plot of the study beside its CSV file: SQNR by bound."""
    rows = Table(path, KEYS).rows()
    groups = {}
    for scope in SCOPES:
        chosen = [row for row in rows if row["scope"] == scope]
        groups[scope] = tuple(np.array([float(row[key]) for row in chosen]) for key in ("threshold", "sqnr_db"))
    groups["theory"] = (groups["layer"][0], np.array([-10 * np.log10(distortion(x)) for x in groups["layer"][0]]))
    lines(
        path.with_suffix(".svg"), groups, "bound in standard deviations", "SQNR of the weights in dB", marks=[OPTIMUM]
    )


INTRODUCTION = """# Two-bit uniform quantization

Four uniform levels for all weights of a fully connected network for MNIST, as a function of the support region (Tomic
et al. 2022). The float network, trained for {epochs} epochs, recognises {accuracy:.2f} % of the 10,000 test images. For
a Laplace distribution the optimum lies at 2.1748 standard deviations (7.07 dB), and sqrt(2) log 4 = 1.9605 has 6.98 dB.
Here the SQNR is largest at {found} among the measured bounds. SQNR is in dB and top-1 in percent. Measured on:
{environment}.

![SQNR by bound](two_bits.svg)"""
