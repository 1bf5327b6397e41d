"""Random images that resemble photographs: smooth noise, and opaque shapes on top of each other.

Values have a mean of about 0 and a variance of about 1. Photographs have the spectrum 1 / f (Field, 1987), and edges:
shapes of all sizes that cover each other give both (the dead leaves model: Lee, Mumford and Huang, 2001).
"""

import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.float64]

SLOPES = (0.6, 1.6)
"""The range of the exponent a of the spectrum 1 / f^a of smooth noise."""
CHROMA = 0.4
"""The deviation of a channel from what all channels share, relative to it."""
CONTRASTS = (0.5, 1.0)
"""The range of the deviation within an image of noise; the means of images differ by half of the largest."""
LEAVES = 60
"""Shapes in an image; most of its area is covered more than once."""
SMALLEST_RADIUS = 0.04
"""The least radius of a shape, relative to the larger side; radii r have the density r^-3, which has no scale."""
UNIFORM_DEVIATION = 12**-0.5
"""The standard deviation of a uniform number between 0 and 1."""


def smooth_noise(rng: np.random.Generator, channels: int, height: int, width: int) -> Image:
    """Return an image (channels, height, width) of noise with the spectrum 1 / f^a."""
    frequency = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width))
    frequency[0, 0] = 1 / max(height, width)
    spectrum = frequency ** -rng.uniform(*SLOPES)
    white = rng.standard_normal((channels + 1, height, width))
    fields = np.fft.irfft2(np.fft.rfft2(white) * spectrum, s=(height, width))
    fields /= np.maximum(fields.std(axis=(1, 2), keepdims=True), 1e-12)
    mixed = fields[0] + CHROMA * fields[1:] if channels > 1 else fields[1:]
    image: Image = rng.uniform(*CONTRASTS) * mixed + 0.5 * rng.standard_normal()
    return image


def leaves(rng: np.random.Generator, channels: int, height: int, width: int) -> Image:
    """Return an image (channels, height, width) of discs and rectangles of random colours on top of each other."""
    image = np.empty((channels, height, width))
    image[:] = _colour(rng, channels)[:, None, None]
    for _ in range(LEAVES):
        _add_leaf(rng, image)
    return (image - 0.5) / UNIFORM_DEVIATION


def _add_leaf(rng: np.random.Generator, image: Image) -> None:
    """Cover a part of an image by a disc or a rectangle in any direction, with a slope of brightness across it."""
    _, height, width = image.shape
    radius = SMALLEST_RADIUS * max(height, width) * rng.uniform(0.01, 1) ** -0.5
    centre, angle, aspect = rng.uniform(size=2) * (height, width), rng.uniform(0, np.pi), rng.uniform(0.2, 1)
    colour, slope, disc = _colour(rng, len(image)), 0.15 * rng.standard_normal(2), rng.uniform() < 0.5
    reach = radius * 2**0.5
    top, left = (max(int(middle - reach), 0) for middle in centre)
    bottom, right = (int(middle + reach) + 2 for middle in centre)
    part = image[:, top:bottom, left:right]
    y, x = np.ogrid[top : top + part.shape[1], left : left + part.shape[2]]
    down, across = (y - centre[0]) / radius, (x - centre[1]) / radius
    if disc:
        inside = down**2 + across**2 < 1
    else:
        along = abs(down * np.cos(angle) + across * np.sin(angle))
        inside = (along < 1) & (abs(across * np.cos(angle) - down * np.sin(angle)) < aspect)
    shade = down * slope[0] + across * slope[1]
    part[:, inside] = colour[:, None] + shade[inside]


def _colour(rng: np.random.Generator, channels: int) -> Image:
    """Return a colour (channels,) between 0 and 1: a brightness, and a smaller deviation of each channel from it."""
    colour: Image = np.clip(rng.uniform() + CHROMA / 2 * rng.standard_normal(channels), 0, 1)
    return colour
