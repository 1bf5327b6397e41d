"""The errors of one output, by the type of its values."""

import re

import numpy as np
import pytest

from quant.evaluation.metrics import OutputComparison, output_energies
from quant.evaluation.output_errors import OutputErrors

RNG = np.random.default_rng(0)
SCORES = RNG.normal(size=(40, 6)).astype(np.float32)
NOISE = (RNG.normal(size=SCORES.shape) / 100).astype(np.float32)


def compared(expected, actual, batch=10):
    """Return the entry of one output that is added in batches."""
    errors = OutputErrors("y")
    for start in range(0, len(expected), batch):
        errors.add(expected[start : start + batch], actual[start : start + batch])
    return errors.as_dict(len(expected))


def sqnr(x, y):
    x, y = x.astype(np.float64), y.astype(np.float64)
    return pytest.approx(10 * np.log10((x**2).sum() / ((x - y) ** 2).sum()))


def test_floats_have_an_sqnr_a_cosine_and_errors_in_their_own_unit():
    entry = compared(SCORES, SCORES + NOISE)
    assert entry["sqnr_db"] == sqnr(SCORES, SCORES + NOISE)
    assert entry["mean_error"] == pytest.approx(np.abs(NOISE).mean(), rel=1e-3)
    assert entry["max_error"] == pytest.approx(np.abs(NOISE).max(), rel=1e-3)
    assert (entry["agreement"], entry["reason"], entry["identical"]) == (None, None, False)
    assert (entry["dtype"], entry["samples"], entry["finite_fraction"]) == ("float32", 40, 1.0)


def test_equal_outputs_are_called_identical():
    entry = compared(SCORES, SCORES)
    assert (entry["identical"], entry["sqnr_db"], entry["max_error"]) == (True, 200.0, 0.0)


@pytest.mark.parametrize("special", [np.nan, -np.inf, np.inf, -3.4028235e38, -3.4e38, -65504.0, -1e9, 1e38])
def test_positions_that_are_no_quantities_are_left_out_and_compared_for_being_the_same(special):
    expected, actual = SCORES.copy(), SCORES + NOISE
    ordinary = RNG.random(SCORES.shape) < 0.7
    expected[~ordinary] = actual[~ordinary] = special
    entry = compared(expected, actual)
    assert entry["sqnr_db"] == sqnr(expected[ordinary], actual[ordinary])
    assert entry["finite_fraction"] == pytest.approx(ordinary.mean())
    assert entry["nonfinite_agreement"] == 1
    actual[~ordinary] = 5
    entry = compared(expected, actual)
    if abs(special) < 1e30:  # a finite mask that only one model has is an error
        assert entry["sqnr_db"] < 0
    else:
        assert entry["sqnr_db"] == sqnr(expected[ordinary], actual[ordinary])
        assert entry["nonfinite_agreement"] == 0


def test_masks_to_which_scores_were_added_do_not_drown_the_rest():
    mask = np.where(RNG.random(SCORES.shape) < 0.3, np.float16(-65504), np.float16(0))
    expected, actual = (SCORES + mask).astype(np.float16), (SCORES + NOISE + mask).astype(np.float16)
    ordinary = mask == 0
    assert compared(expected, actual)["sqnr_db"] == sqnr(expected[ordinary], actual[ordinary])


def test_large_values_without_a_gap_are_quantities():
    expected = np.linspace(1, 1e6, 240).reshape(40, 6).astype(np.float32)
    entry = compared(expected, expected * 1.01)
    assert entry["sqnr_db"] == pytest.approx(40, abs=0.1)
    assert entry["finite_fraction"] == 1


def test_an_output_that_only_the_quantized_model_makes_infinite_has_no_sqnr():
    actual = SCORES.copy()
    actual[3, 2] = np.inf
    entry = compared(SCORES, actual)
    assert entry["sqnr_db"] is None
    assert entry["reason"] == "only the quantized model is NaN or infinite at 1 of 240 positions"


@pytest.mark.parametrize("dtype", [np.int32, np.int64, np.uint32])
def test_wide_integers_are_compared_by_agreement_and_in_their_own_unit(dtype):
    expected = RNG.integers(0, 1000, (40, 6)).astype(dtype)
    actual = expected.copy()
    actual[::4] += dtype(3)
    entry = compared(expected, actual)
    assert (entry["sqnr_db"], entry["agreement"]) == (None, 0.75)
    assert (entry["mean_error"], entry["max_error"]) == (0.75, 3)
    assert "compared by agreement" in entry["reason"]


@pytest.mark.parametrize(("dtype", "mean"), [(np.uint8, 128), (np.int8, 0), (np.uint16, 30_000), (np.int16, 50)])
def test_narrow_integers_are_quantities_about_their_mean(dtype, mean):
    expected = (mean + 20 * RNG.normal(size=(40, 6))).astype(dtype)
    actual = (expected + RNG.integers(-3, 4, expected.shape)).astype(dtype)
    entry = compared(expected, actual)
    x, y = expected.astype(float), actual.astype(float)
    assert entry["sqnr_db"] == pytest.approx(10 * np.log10(((x - x.mean()) ** 2).sum() / ((x - y) ** 2).sum()))
    assert entry["agreement"] == pytest.approx((x == y).mean())


@pytest.mark.parametrize("values", [np.array([True, False, True, True]), np.array(["a", "b", "c", "d"], object)])
def test_booleans_and_strings_agree_or_do_not(values):
    actual = values.copy()
    actual[0] = values[1]
    entry = compared(values, actual)
    assert (entry["agreement"], entry["sqnr_db"], entry["mean_error"]) == (0.75, None, None)


def test_sequences_maps_and_optionals_are_compared_by_their_elements():
    rows = [dict(enumerate(row)) for row in SCORES.tolist()]
    others = [dict(enumerate(row)) for row in (SCORES + NOISE).tolist()]
    entry = compared(rows, others)
    assert entry["sqnr_db"] == sqnr(SCORES, SCORES + NOISE)
    assert entry["dtype"] == "sequence of map to float64"
    arrays = compared([SCORES, SCORES[:3]], [SCORES + NOISE, SCORES[:3]])
    assert arrays["dtype"] == "sequence of float32"
    assert arrays["sqnr_db"] > 30
    errors = OutputErrors("y")
    errors.add(None, None)
    assert "no elements" in errors.reason


@pytest.mark.parametrize(
    ("expected", "actual", "reason"),
    [
        (SCORES, SCORES[:, :5], r"the shape depends on values and differs .*: \[40, 6\] in float and \[40, 5\]"),
        ([SCORES], [SCORES, SCORES], "the sequence has 1 elements in float and 2"),
        ([{"a": 1.0}], [{"b": 1.0}], "the keys of the map"),
        (None, SCORES, "empty in one model only"),
    ],
)
def test_values_without_common_positions_have_a_reason_instead_of_figures(expected, actual, reason):
    errors = OutputErrors("y")
    errors.add(SCORES, SCORES + NOISE)
    errors.add(expected, actual)
    entry = errors.as_dict(2)
    figures = [entry[name] for name in ("sqnr_db", "cosine", "agreement", "mean_error", "max_error")]
    assert figures == [None] * 5
    assert re.search(reason, entry["reason"])


def test_the_worst_output_is_named_and_decides_the_gate():
    comparison = OutputComparison(("boxes", "scores", "classes"), 40)
    boxes, classes = 1000 * SCORES, SCORES.argmax(axis=1)
    comparison.add([boxes, SCORES, classes], [boxes + NOISE, SCORES + NOISE, classes], None)
    figures = comparison.figures()
    assert figures.worst_output.name == "scores"
    assert figures.worst_output.sqnr_db == sqnr(SCORES, SCORES + NOISE)
    assert figures.least_sqnr_db < figures.output_sqnr_db - 50
    assert [entry["name"] for entry in comparison.output_entries()] == ["boxes", "scores", "classes"]


def test_an_output_that_becomes_nan_is_the_worst_and_fails_the_gate():
    comparison = OutputComparison(("a", "b"), 40)
    comparison.add([SCORES, SCORES], [SCORES + NOISE, np.full_like(SCORES, np.nan)], None)
    figures = comparison.figures()
    assert (figures.worst_output.name, figures.worst_output.sqnr_db) == ("b", None)
    assert figures.least_sqnr_db is figures.output_sqnr_db is None


def test_outputs_of_classes_have_no_sqnr_and_their_energies_are_numbers_of_values():
    classes = RNG.integers(0, 10, 40)
    worse = np.where(np.arange(40) < 10, classes + 1, classes)
    comparison = OutputComparison()
    comparison.add([classes, classes > 3], [worse, classes > 3], None)
    assert comparison.sqnr_db is comparison.worst is None
    assert output_energies([classes], [worse]) == (40, 10)


def test_energies_are_those_of_finite_positions():
    expected = SCORES.copy()
    expected[0, 0] = -np.inf
    signal, noise = output_energies([expected], [expected + NOISE])
    ordinary = np.isfinite(expected)
    assert signal == pytest.approx((expected[ordinary] ** 2).sum())
    assert noise == pytest.approx((NOISE[ordinary] ** 2).sum(), rel=1e-3)
