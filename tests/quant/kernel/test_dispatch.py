"""The compiled loops give what the NumPy code gives, whatever the threads."""

import importlib
import pkgutil
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from quant import kernel
from quant.kernel import compile as compilation
from quant.kernel import dispatch
from quant.kernel.families import GAUSSIAN, GENERALIZED_GAUSSIAN, LAPLACE, STUDENT_T
from quant.methods.clipping.auto import Auto
from quant.methods.clipping.empirical import EmpiricalMae, EmpiricalMse, measured_error
from quant.methods.clipping.mae import Mae
from quant.methods.clipping.mse import Mse
from quant.methods.distributions.compiled import ks_distances
from quant.methods.distributions.selection import ks_interval, select
from quant.methods.distributions.statistics import summarise
from quant.methods.grids.expected_error import expected_error
from quant.methods.grids.kmeans import KMeans
from quant.methods.grids.uniform import Uniform
from quant.methods.registry import DISTRIBUTIONS
from quant.warm_up import load_all
from tests.quant.reference import WIDE, unit_fit

SOURCES = (
    stats.norm(),
    stats.laplace(),
    stats.t(4),
    stats.t(1.6),
    stats.gennorm(0.7),
    stats.gennorm(1.5),
    stats.gennorm(5),
)
LENGTHS = (9, 100, 300, 1500)


def weights(n):
    """Rows of every source off their centre, one of zeros, one constant, one nearly all zeros, one very small."""
    drawn = [source.rvs((8, n), random_state=n) * 0.05 + 0.004 for source in SOURCES]
    rows = np.concatenate([*drawn, np.zeros((1, n)), np.full((1, n), 0.5), np.zeros((1, n)), 1e-5 * drawn[0][:1]])
    rows[-2, :2] = [1, -0.5]
    return rows.astype(np.float32)


def fitted(n, compiled, families=tuple(DISTRIBUTIONS), criterion="aic"):
    statistics = summarise(weights(n), compiled)
    return statistics, select(statistics, families, criterion)


def test_the_loops_number_the_families_as_the_registry_names_them():
    assert tuple(DISTRIBUTIONS) == dispatch.FAMILIES
    assert (GAUSSIAN, LAPLACE, STUDENT_T, GENERALIZED_GAUSSIAN) == (0, 1, 2, 3)


@pytest.mark.parametrize("n", LENGTHS)
def test_fits_are_as_likely_as_those_of_numpy(n):
    (statistics, plain), (_, compiled) = fitted(n, False), fitted(n, True)
    for ours, theirs in zip(compiled.candidates, plain.candidates, strict=True):
        np.testing.assert_array_equal(np.isfinite(ours.aic), np.isfinite(theirs.aic))
        known = np.isfinite(theirs.aic)
        gain = (ours.log_likelihood[known] - theirs.log_likelihood[known]) / np.maximum(statistics.nonzero[known], 1)
        assert (gain > -5e-4).all(), ours.fitted.family  # cusps: which of two is found first
        assert not np.isnan(ours.log_likelihood[known]).any()
    assert np.mean(plain.chosen == compiled.chosen) > 0.95


@pytest.mark.parametrize("n", LENGTHS)
def test_the_distance_is_that_of_numpy(n):
    statistics, fit = fitted(n, True)
    for candidate in fit.candidates:
        known = np.isfinite(candidate.aic)
        some, fitted_to_some = statistics.select_rows(known), candidate.fitted.select_rows(known)
        exact = ks_interval(fitted_to_some, some)[0]
        np.testing.assert_allclose(ks_distances(fitted_to_some, some), exact, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("n", LENGTHS)
@pytest.mark.parametrize("bits", [2, 4, 8])
def test_bounds_and_expected_errors_of_a_fit_are_those_of_numpy(n, bits):
    statistics, compiled = fitted(n, True)
    plain = replace(compiled, compiled=False)
    for rule in (Mae(), Mse()):
        bound = rule.bound(statistics, compiled, bits)
        np.testing.assert_allclose(bound, rule.bound(statistics, plain, bits), rtol=1e-7, err_msg=rule.name)
        book = Uniform().build(statistics, compiled, bound, bits)
        for ours, theirs in zip(expected_error(compiled, book), expected_error(plain, book), strict=True):
            np.testing.assert_allclose(ours, theirs, rtol=1e-6, atol=1e-12 * statistics.max_abs.max())


@pytest.mark.parametrize("n", LENGTHS)
@pytest.mark.parametrize("bits", [4, 8])
def test_searched_bounds_are_as_good_as_those_of_numpy(n, bits):
    (plain, plain_fit), (compiled, compiled_fit) = fitted(n, False), fitted(n, True)
    for rule, index in ((EmpiricalMae(), 0), (EmpiricalMse(), 1), (Auto(), 1)):
        bounds = rule.bound(compiled, compiled_fit, bits), rule.bound(plain, plain_fit, bits)
        ours, theirs = (measured_error(plain, bound, bits)[index] for bound in bounds)
        np.testing.assert_allclose(ours, theirs, rtol=1e-4 if rule.name != "auto" else 0.02, err_msg=rule.name)
        np.testing.assert_allclose(measured_error(compiled, bounds[0], bits)[index], ours, rtol=1e-5)


@pytest.mark.parametrize("n", LENGTHS)
@pytest.mark.parametrize("bits", [2, 4])
def test_kmeans_has_no_more_error_than_that_of_numpy(n, bits):
    (plain, fit), (compiled, _) = fitted(n, False), fitted(n, True)
    books = [KMeans().build(one, fit, one.max_abs, bits) for one in (compiled, plain)]
    assert (np.diff(books[0].levels, axis=1) >= 0).all()
    ours, theirs = (((book.decode(book.encode(plain.rows)) - plain.rows) ** 2).mean(axis=1) for book in books)
    np.testing.assert_allclose(ours, theirs, rtol=1e-3, atol=1e-12)


def test_results_are_the_same_bytes_whatever_the_threads(monkeypatch):
    results = []
    for threads, least in ((2, 4), (1, 1 << 20)):
        monkeypatch.setattr(compilation, "THREADS", threads)
        monkeypatch.setattr(compilation, "LEAST_ROWS", least)
        statistics, fit = fitted(300, True)
        bound = Auto().bound(statistics, fit, 8)
        results.append([statistics.counts, statistics.sum, fit.candidates[2].fitted.shape, bound])
    for one, other in zip(*results, strict=True):
        np.testing.assert_array_equal(one, other)


def test_loops_pay_for_large_models_only():
    assert not dispatch.pay(rows=698, weights=270_000)
    assert dispatch.pay(rows=9208, weights=2_600_000)
    assert dispatch.pay(rows=21, weights=100_000_000)


def test_every_loop_is_compiled_for_one_type_of_arguments_only():
    load_all()  # what `make install` does: a job must find all that it needs
    weight = weights(300)
    weight.flags.writeable = False
    for rows in (weight, weight[:, :100], weight[:30].reshape(1, -1), np.tile(weight[0], 2000)[None], weight.T):
        statistics = summarise(rows, compiled=True)
        fit = select(statistics, tuple(DISTRIBUTIONS), "ks")
        book = Uniform().build(statistics, fit, Auto().bound(statistics, fit, 4), 4)
        expected_error(fit, book)
        Mae().bound(statistics, fit, 4)
        KMeans().build(statistics, fit, statistics.max_abs, 4)
    modules = [importlib.import_module(f"quant.kernel.{one.name}") for one in pkgutil.iter_modules(kernel.__path__)]
    found = {value for module in modules for value in vars(module).values() if hasattr(value, "signatures")}
    kept = [loop for loop in found if loop.targetoptions.get("nogil") and loop._cache.cache_path]
    assert kept
    assert {loop.py_func.__name__: len(loop.signatures) for loop in kept if len(loop.signatures) != 1} == {}


def test_the_next_process_finds_every_loop_beside_its_source():
    load_all()
    call = [sys.executable, "-m", "quant.warm_up"]
    told = subprocess.run(call, env={"NUMBA_DEBUG_CACHE": "1"}, capture_output=True, text=True, check=True).stdout
    assert f"data loaded from '{kernel.__path__[0]}" in told
    assert "data saved" not in told


UNIT = [
    ("gaussian", 1.0), ("laplace", 1.0), ("student_t", 1.5), ("student_t", 2.1), ("student_t", 20.0),
    ("generalized_gaussian", 0.3), ("generalized_gaussian", 0.5), ("generalized_gaussian", 1.4),
    ("generalized_gaussian", 3.0), ("generalized_gaussian", 15.0),
]  # fmt: skip


@pytest.mark.parametrize(("family", "shape"), UNIT)
@pytest.mark.parametrize("clip", [1.0, 8.0, 12.0, 60.0])
@pytest.mark.parametrize("location", [0.0, 0.013, 1.01])
def test_errors_of_fine_grids_in_closed_form_are_those_of_their_cells(family, shape, clip, location):
    fit = unit_fit(family, shape)
    fit.candidates[0].fitted.location[:] = location
    book = Uniform().build(WIDE, fit, np.array([clip]), 8)
    for ours, exact in zip(expected_error(replace(fit, compiled=True), book), expected_error(fit, book), strict=True):
        np.testing.assert_allclose(ours, exact, rtol=1e-8)


@pytest.mark.parametrize(("family", "shape"), UNIT)
@pytest.mark.parametrize("location", [0.0, 0.013, -0.2])
@pytest.mark.parametrize("bits", [6, 8])
def test_bounds_on_fine_grids_in_closed_form_are_those_from_every_cell(family, shape, location, bits):
    fit = unit_fit(family, shape)
    fit.candidates[0].fitted.location[:] = location
    for rule in (Mae(), Mse()):
        ours, exact = (rule.bound(WIDE, replace(fit, compiled=compiled), bits) for compiled in (True, False))
        np.testing.assert_allclose(ours, exact, rtol=2e-7, err_msg=rule.name)
