"""Groups of an output's channels."""

import numpy as np
import pytest

from quant.evaluation.channel_groups import MAX_CHANNELS, ChannelGroups

RNG = np.random.default_rng(0)


def groups(*batches):
    total = ChannelGroups()
    for expected, actual in batches:
        total.add(expected, actual)
    return total.energies()


def test_the_widest_gap_separates_the_groups():
    scale = np.array([1, 500, 2, 400, 0], np.float32)
    batches = [RNG.uniform(0.5, 1, (3, 40, 5)).astype(np.float32) * scale for _ in range(2)]
    small, large = groups(*((batch, batch + scale * np.float32(0.25)) for batch in batches))
    both = np.concatenate(batches).astype(np.float64)
    assert small == pytest.approx(((both[..., [0, 2]] ** 2).sum(), 240 * 0.25**2 * 5))
    assert large == pytest.approx(((both[..., [1, 3]] ** 2).sum(), 240 * 0.25**2 * (500**2 + 400**2)))


@pytest.mark.parametrize(
    "values",
    [
        RNG.uniform(0.5, 1, (3, 40, 5)),  # like ranges
        RNG.uniform(0.5, 1, (40, 5)) * [1, 1, 1, 1, 900],  # classes
        RNG.uniform(0.5, 1, (3, MAX_CHANNELS + 1, MAX_CHANNELS + 1)) * np.where(np.arange(MAX_CHANNELS + 1), 1, 900),
        np.full((3, 40, 5), np.inf),
        np.zeros((3, 40, 5)),
        np.zeros((0, 40, 5)),
    ],
)
def test_other_outputs_have_no_groups(values):
    assert groups((values.astype(np.float32), values.astype(np.float32))) == []


def test_batches_of_other_channels_end_the_sums():
    one, other = np.ones((1, 9, 3), np.float32), np.ones((1, 9, 4), np.float32)
    one[..., 0] = 100
    assert groups((one, one))
    assert groups((one, one), (other, other), (one, one)) == []
