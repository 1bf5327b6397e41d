"""Random images: their mean, variance and spectrum."""

import numpy as np
import pytest

from quant.calibration.synthetic_images import leaves, smooth_noise


@pytest.mark.parametrize("draw", [smooth_noise, leaves])
@pytest.mark.parametrize(("channels", "height", "width"), [(3, 32, 32), (1, 16, 40)])
def test_images_have_a_mean_near_zero_and_a_variance_near_one(draw, channels, height, width):
    images = np.stack([draw(np.random.default_rng(seed), channels, height, width) for seed in range(40)])
    assert images.shape[1:] == (channels, height, width)
    assert abs(images.mean()) < 0.3
    assert 0.5 < images.std() < 1.5


@pytest.mark.parametrize("draw", [smooth_noise, leaves])
def test_neighbouring_pixels_are_alike_and_channels_belong_together(draw):
    images = np.stack([draw(np.random.default_rng(seed), 3, 32, 32) for seed in range(20)])
    images -= images.mean(axis=(2, 3), keepdims=True)
    assert np.corrcoef(images[..., 1:].ravel(), images[..., :-1].ravel())[0, 1] > 0.5
    assert np.corrcoef(images[:, 0].ravel(), images[:, 1].ravel())[0, 1] > 0.5


@pytest.mark.parametrize("draw", [smooth_noise, leaves])
def test_equal_seeds_give_equal_images(draw):
    first, second = (draw(np.random.default_rng(3), 2, 9, 8) for _ in range(2))
    np.testing.assert_array_equal(first, second)
