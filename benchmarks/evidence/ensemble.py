"""Ensembles of small convolutional networks for MNIST, trained together and run together.

Every network has a convolution of 5 x 5 with stride 2, a ReLU, a convolution of 3 x 3 with stride 3, a ReLU and one or
two linear layers. The patches of the second convolution do not overlap, so all layers are batched matrix products.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn.functional import cross_entropy, unfold

from benchmarks.networks import DATA

PATCHES, POSITIONS = 9, 16
"""The pixels of a patch of the second convolution, and its patches in an image."""
BATCH = 64
LEARNING_RATES = (1e-3, 1e-2)
WEIGHT_DECAYS = (0.0, 0.01, 0.1, 0.5)
Array = NDArray[np.float64]
Layers = list[tuple[torch.Tensor, torch.Tensor]]
"""The weight (E, inputs, outputs) and the bias (E, 1, outputs) of each layer of E networks."""


@dataclass(frozen=True)
class Architecture:
    """The channels of both convolutions, and the width of the hidden linear layer; 0 for none."""

    first: int
    second: int
    hidden: int

    def widths(self) -> list[tuple[int, int]]:
        """Return the inputs and the outputs of each layer as a matrix."""
        flat = POSITIONS * self.second
        linear = [(flat, self.hidden), (self.hidden, 10)] if self.hidden else [(flat, 10)]
        return [(25, self.first), (PATCHES * self.first, self.second), *linear]


@dataclass(frozen=True)
class Digits:
    """Images as patches of the first convolution (N, 144, 25), in the order in which the second one reads them."""

    patches: torch.Tensor
    labels: torch.Tensor

    @classmethod
    def of(cls, role: str) -> "Digits":
        """Read the images of a role (`train` or `test`), scaled to mean 0 and standard deviation 1."""
        with np.load(DATA / "datasets" / f"mnist_{role}.npz") as arrays:
            images, labels = (arrays[name] for name in arrays.files)
        pixels = torch.from_numpy((images.reshape(-1, 1, 28, 28).astype(np.float32) / 255 - 0.1307) / 0.3081)
        rows = torch.cat([unfold(part, 5, stride=2).transpose(1, 2) for part in pixels.split(4096)])
        order = np.arange(144).reshape(4, 3, 4, 3).transpose(0, 2, 1, 3).ravel()
        return cls(rows[:, order].contiguous(), torch.from_numpy(labels.astype(np.int64)))

    def batches(self, size: int, order: torch.Tensor | None = None) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        """Yield patches and labels in batches."""
        numbers = torch.arange(len(self.labels)) if order is None else order
        for part in numbers.split(size):
            yield self.patches[part], self.labels[part]


def train(architecture: Architecture, networks: int, digits: Digits, *, seed: int) -> Layers:
    """Return the layers of networks after one epoch; they differ in initial weights, learning rate and weight decay."""
    random = torch.Generator().manual_seed(seed)
    low, high = np.log(LEARNING_RATES)
    rates = torch.exp(low + (high - low) * torch.rand(networks, 1, 1, generator=random))
    decays = torch.tensor(WEIGHT_DECAYS)[torch.randint(len(WEIGHT_DECAYS), (networks, 1, 1), generator=random)]
    layers = [
        (
            (torch.rand(networks, inputs, outputs, generator=random) * 2 - 1) * (3 / inputs) ** 0.5,
            torch.zeros(networks, 1, outputs),
        )
        for inputs, outputs in architecture.widths()
    ]
    parameters = [tensor.requires_grad_() for layer in layers for tensor in layer]
    moments = [(torch.zeros_like(tensor), torch.zeros_like(tensor)) for tensor in parameters]
    order = torch.randperm(len(digits.labels), generator=random)
    for step, (patches, labels) in enumerate(digits.batches(BATCH, order), start=1):
        logits = outputs_of(layers, patches)[-1]
        loss = cross_entropy(logits.reshape(-1, 10), labels.repeat(networks), reduction="sum") / len(labels)
        gradients = torch.autograd.grad(loss, parameters)
        with torch.no_grad():
            for tensor, gradient, moment in zip(parameters, gradients, moments, strict=True):
                _adamw(tensor, gradient, moment, rates, decays, step)
    return [(weight.detach(), bias.detach()) for weight, bias in layers]


def _adamw(
    tensor: torch.Tensor, gradient: torch.Tensor, moment: tuple[torch.Tensor, torch.Tensor], rates: torch.Tensor,
    decays: torch.Tensor, step: int,
) -> None:  # fmt: skip
    """Update a parameter with a learning rate and a weight decay for each network (Loshchilov and Hutter 2019)."""
    first, second = moment
    first.lerp_(gradient, 0.1)
    second.lerp_(gradient.square(), 0.001)
    scale = (second / (1 - 0.999**step)).sqrt_().add_(1e-8)
    tensor.mul_(1 - rates * decays).sub_(rates * (first / (1 - 0.9**step)) / scale)


def outputs_of(layers: Layers, patches: torch.Tensor) -> list[torch.Tensor]:
    """Return the outputs of each layer before its ReLU (E, rows, outputs); rows are positions of images in order."""
    networks, images = len(layers[0][0]), len(patches)
    value = patches.reshape(1, -1, patches.shape[-1]).expand(networks, -1, -1)
    outputs = []
    for number, (weight, bias) in enumerate(layers):
        outputs.append(torch.baddbmm(bias, value, weight))
        rows = images * POSITIONS if number == 0 else images
        value = outputs[-1].relu().reshape(networks, rows, -1)
    return outputs


@dataclass(frozen=True)
class Judgement:
    """The figures of E networks on images.

    Attributes:
        accuracy: the top-1 accuracy of each network (E,).
        means: the means of each layer's outputs before the ReLU, by channel (E, outputs).
        deviations: their standard deviations (E, outputs).
    """

    accuracy: Array
    means: Sequence[Array]
    deviations: Sequence[Array]


def judge(layers: Layers, digits: Digits, size: int = 250) -> Judgement:
    """Return the figures of networks on images, which are run in batches of equal size."""
    parts = [_of_batch(outputs_of(layers, patches), labels) for patches, labels in digits.batches(size)]
    hits, means, squares = (
        [np.mean([part[kind][number] for part in parts], axis=0) for number in range(len(parts[0][kind]))]
        for kind in range(3)
    )
    pairs = zip(means, squares, strict=True)
    return Judgement(hits[0], means, [np.sqrt(np.maximum(square - mean**2, 0)) for mean, square in pairs])


def _of_batch(outputs: Sequence[torch.Tensor], labels: torch.Tensor) -> tuple[list[Array], list[Array], list[Array]]:
    """Return the share of right classes, and the means and mean squares of each layer's outputs."""
    moments = [torch.var_mean(output, dim=1, correction=0) for output in outputs]
    means = [mean.double().numpy() for _, mean in moments]
    squares = [variance.double().numpy() + mean**2 for (variance, _), mean in zip(moments, means, strict=True)]
    return [(outputs[-1].argmax(2) == labels).double().mean(1).numpy()], means, squares
