"""Pictures of weights agree with scipy and with the errors of the weights themselves."""

import numpy as np
import pytest
from scipy import stats

from quant.report.channels import list_channels
from quant.report.error_curve import FACTORS
from quant.report.picture import PROBABILITIES, chosen_for, draw_picture
from quant.report.weight_study import ALL_ZERO, study_weights
from quant.spec import resolve
from tests.quant.report.one_weight import quantized

RNG = np.random.default_rng(0)
RULES = {"minmax", "mae", "mse", "percentile", "empirical_mae", "empirical_mse", "support_region"}


def picture_of(weight, **options):
    layer, spec = quantized(weight, **options)
    study, reason = study_weights(layer)
    assert reason is None
    return draw_picture(layer, study, spec), layer


def weights(shape=(24, 400)):
    return (RNG.normal(size=shape) * RNG.uniform(0.5, 2, size=(shape[0], 1))).astype(np.float32)


def test_the_histogram_counts_every_weight_in_units_of_its_bound():
    weight = weights()
    weight[:, :10] = 0
    picture, layer = picture_of(weight, clipping="mse")
    relative = weight / layer.quantized.clip[:, None]
    histogram = picture.histogram
    assert (picture.rows, picture.weights) == (24, 9600)
    assert histogram.zeros == 240
    assert sum(histogram.counts) + histogram.below + histogram.above + histogram.zeros == 9600
    edges = histogram.low + histogram.width * np.arange(65)
    expected = np.histogram(relative[relative != 0], edges)[0]
    assert np.abs(np.array(histogram.counts) - expected).max() <= 1  # a weight at an edge


def test_densities_are_those_of_scipy():
    picture, layer = picture_of(weights(), clipping="mse")
    histogram, clip = picture.histogram, layer.quantized.clip
    centres = histogram.low + histogram.width * (np.arange(64) + 0.5)
    points = centres * clip[:, None]
    for candidate in layer.fitted.fit.candidates:
        fit = candidate.fitted
        location, scale = fit.location[:, None], fit.scale[:, None]
        shape = None if fit.shape is None else fit.shape[:, None]
        density = {
            "gaussian": lambda x, m, s, _: stats.norm.pdf(x, m, s),
            "laplace": lambda x, m, s, _: stats.laplace.pdf(x, m, s),
            "student_t": lambda x, m, s, nu: stats.t.pdf(x, nu, m, s),
            "generalized_gaussian": lambda x, m, s, beta: stats.gennorm.pdf(x, beta, m, s),
        }[fit.family](points, location, scale, shape)
        assert picture.densities[fit.family] == pytest.approx((density * clip[:, None]).mean(axis=0), rel=1e-3)


def test_quantiles_of_a_gaussian_lie_on_a_line():
    picture, layer = picture_of(RNG.normal(size=(1, 60_000)).astype(np.float32), distributions=["gaussian"])
    quantiles, bound = picture.quantiles, layer.quantized.clip[0]
    expected = stats.norm.ppf(PROBABILITIES) / bound
    assert quantiles.expected == pytest.approx(expected, abs=0.02)
    assert quantiles.observed == pytest.approx(expected, abs=0.05)


@pytest.mark.parametrize("grid", ["uniform", "kmeans", "ternary_optimal"])
@pytest.mark.parametrize("granularity", ["channel", "tensor"])
def test_the_measured_error_at_the_chosen_bound_is_that_of_the_weights(grid, granularity):
    bits = 2 if grid == "ternary_optimal" else 4
    picture, layer = picture_of(weights(), grid=grid, bits=bits, granularity=granularity, clipping="mse")
    error, middle = layer.quantized.error, len(FACTORS) // 2
    assert picture.curve.bound[middle] == 1
    few_rows = 0.1 if grid == "kmeans" and granularity == "channel" else 0.03
    assert picture.curve.measured_mse[middle] == pytest.approx(error.mse, rel=few_rows)
    assert picture.curve.measured_mae[middle] == pytest.approx(error.mae, rel=few_rows)
    if grid == "uniform":
        assert picture.curve.expected_mse[middle] == pytest.approx(error.mse_expected, rel=0.02)
        assert picture.curve.expected_mae[middle] == pytest.approx(error.mae_expected, rel=0.02)
        assert picture.level_step == pytest.approx(1 / 7, rel=1e-3)
    else:
        assert list(picture.levels) == sorted(picture.levels)


@pytest.mark.parametrize(("clipping", "name"), [("mse", "expected_mse"), ("mae", "expected_mae"),
                                                ("empirical_mse", "measured_mse")])  # fmt: skip
def test_the_chosen_bound_is_where_the_curve_is_least(clipping, name):
    picture, layer = picture_of(RNG.laplace(size=(16, 3000)).astype(np.float32), clipping=clipping)
    least = picture.curve.bound[int(np.argmin(getattr(picture.curve, name)))]
    assert least == pytest.approx(1, rel=0.1)
    assert picture.clip_bounds[clipping] == pytest.approx(1, rel=1e-3)
    assert set(picture.clip_bounds) == RULES
    assert picture.curve.chosen_for == "weight_error"
    assert chosen_for(layer, resolve({})) == "weight_error"


def test_weights_far_beyond_the_bound_are_counted_and_cost_what_they_are_clipped_by():
    weight = RNG.normal(size=(1, 4000)).astype(np.float32)
    weight[0, :4] = [60, -60, 80, 45]
    picture, layer = picture_of(weight, clipping="mae", distributions=["gaussian"])
    assert picture.histogram.below + picture.histogram.above == 4
    assert picture.curve.measured_mse[16] == pytest.approx(layer.quantized.error.mse, rel=0.1)


def test_degenerate_weights_have_a_picture_or_a_reason():
    study, reason = study_weights(quantized(np.zeros((4, 50), np.float32))[0])
    assert (study, reason) == (None, ALL_ZERO)
    weight = weights((6, 40))
    weight[0], weight[1], weight[2, 1:] = 0, 0.5, 0
    picture, _ = picture_of(weight)
    assert picture.rows == 5
    assert all(np.isfinite(picture.curve.expected_mse))


def test_a_part_of_many_rows_is_pooled():
    picture, _ = picture_of(weights((700, 600)))
    assert picture.rows == 128
    assert picture.weights == 128 * 600


def test_channels_have_their_bound_error_and_family():
    layer, _ = quantized(weights())
    channels, reason = list_channels(layer)
    assert reason is None
    assert channels.channel == tuple(range(24))
    assert channels.bound == pytest.approx(layer.quantized.clip, rel=1e-3)
    assert channels.family == layer.fitted.fit.family
    errors = layer.quantized.errors
    assert channels.sqnr_db == pytest.approx(10 * np.log10(errors.energy / errors.square), abs=0.01)


def test_the_worst_channels_of_many_are_listed():
    layer, _ = quantized(weights((700, 64)))
    channels, _ = list_channels(layer)
    ratios = layer.quantized.errors.energy / layer.quantized.errors.square
    assert channels.channels == 700
    assert set(channels.channel) == set(np.argsort(ratios)[:256].tolist())


@pytest.mark.parametrize(("granularity", "words"), [("tensor", "whole weight"), ("block", "blocks")])
def test_other_granularities_say_why_they_have_no_channels(granularity, words):
    channels, reason = list_channels(quantized(weights((32, 64)), granularity=granularity)[0])
    assert channels is None
    assert words in reason
