"""Ensembles of small convolutional networks for MNIST, trained together and run together.

Every network has a convolution of 5 x 5 with stride 2, a ReLU, a convolution of 3 x 3 with stride 3, a ReLU and one or
two linear layers. The patches of the second convolution do not overlap, so all layers are batched matrix products.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

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


def train(architecture: Architecture, networks: int, digits: Digits, *, seed: int, epochs: int = 1) -> Layers:
    """Return the layers of networks that differ in initial weights, learning rate and weight decay."""
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
    step = 0
    for _ in range(epochs):
        order = torch.randperm(len(digits.labels), generator=random)
        for patches, labels in digits.batches(BATCH, order):
            step += 1
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


def accuracy(layers: Layers, digits: Digits, size: int = 1000) -> NDArray[np.float64]:
    """Return the top-1 accuracy of each network (E,)."""
    hits = sum((outputs_of(layers, patches)[-1].argmax(2) == labels).sum(1) for patches, labels in digits.batches(size))
    result: NDArray[Any] = np.asarray(hits, np.float64) / len(digits.labels)
    return result


def channel_means(layers: Layers, digits: Digits, size: int = 1000) -> list[NDArray[np.float64]]:
    """Return the mean of each layer's outputs before the ReLU, by network and channel (E, outputs)."""
    return [mean for mean, _ in channel_moments(layers, digits, size)]


def channel_moments(
    layers: Layers, digits: Digits, size: int = 1000
) -> Sequence[tuple[NDArray[np.float64], NDArray[np.float64]]]:
    """Return the mean and the standard deviation of each layer's outputs, by network and channel (E, outputs)."""
    shapes = [(len(weight), weight.shape[2]) for weight, _ in layers]
    sums = [[torch.zeros(shape, dtype=torch.float64) for _ in range(2)] for shape in shapes]
    rows = [0] * len(layers)
    for patches, _ in digits.batches(size):
        for number, output in enumerate(outputs_of(layers, patches)):
            values = output.double()
            sums[number][0] += values.sum(1)
            sums[number][1] += values.square().sum(1)
            rows[number] += values.shape[1]
    means = [(total / count, square / count) for (total, square), count in zip(sums, rows, strict=True)]
    return [(mean.numpy(), (square - mean.square()).clamp(min=0).sqrt().numpy()) for mean, square in means]
