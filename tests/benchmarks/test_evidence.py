"""The studies: their formulas, the fleet's fair queue, and pages that say what was measured."""

from importlib import import_module

import numpy as np
import pytest
import simpy

from benchmarks.evidence.__main__ import STUDIES
from benchmarks.evidence.fleet import Fleet, Work
from benchmarks.evidence.non_uniform import _apot, _kmeans
from benchmarks.evidence.study import RECORDED, Table
from benchmarks.evidence.two_bits import distortion


@pytest.mark.parametrize("path", sorted(RECORDED.glob("*.csv")), ids=lambda path: path.stem)
def test_a_page_has_the_recorded_figures(path):
    assert path.stem in STUDIES
    assert path.with_suffix(".md").read_text() == import_module(f"benchmarks.evidence.{path.stem}").page(path)
    assert path.with_suffix(".svg").exists()


def test_a_study_goes_on_where_it_stopped(tmp_path):
    measured = []

    def figures(name, bits):
        measured.append((name, bits))
        if bits == 4 and len(measured) == 2:
            raise KeyboardInterrupt
        return [{"value": bits / 3}]

    table, cases = Table(tmp_path / "study.csv", ("name", "bits")), [("a", 8), ("a", 4)]
    with pytest.raises(KeyboardInterrupt):
        table.measure(cases, figures)
    table.measure(cases, figures)
    assert measured == [("a", 8), ("a", 4), ("a", 4)]
    assert [(row["name"], row["bits"]) for row in table.rows()] == cases
    assert table.rows()[1]["value"] == pytest.approx(4 / 3, rel=1e-4)


@pytest.mark.parametrize(("bound", "error"), [(2.1747853787, 0.1963022633), (1.960516, 0.20050574), (10, 3.70846045)])
def test_the_error_of_four_levels_is_that_of_the_literature(bound, error):
    assert distortion(bound) == pytest.approx(error, rel=1e-6)


@pytest.mark.parametrize("bits", range(3, 9))
def test_additive_powers_of_two_use_the_bits(bits):
    levels = _apot(bits)
    assert len(levels) == 2**bits - 1
    assert (levels[0], levels[-1]) == (-1, 1)
    np.testing.assert_array_equal(levels, -levels[::-1])


def test_k_means_is_no_worse_than_its_starts():
    row = np.random.default_rng(0).standard_normal(2000).astype(np.float32)
    starts = [np.linspace(-3, 3, 8), np.quantile(row, np.linspace(0.05, 0.95, 8))]

    def error(levels):
        return np.square(np.abs(row[:, None] - levels).min(1)).sum()

    assert error(_kmeans(row, starts)) <= min(map(error, starts))


def test_a_simulated_tenant_does_not_wait_behind_anothers_batch():
    environment = simpy.Environment()
    fleet = Fleet(environment, workers=2, gateways=1)
    work = Work(worker_s=1.0, gateway_s=0.001, records_s=0.0001, stored_bytes=0.0)
    for _ in range(200):
        environment.process(fleet.submit("large", work))
    environment.process(fleet.submit("small", work))
    environment.run()
    assert fleet.ended == 201
    assert fleet.waits["small"][0] < 3
    assert max(fleet.waits["large"]) > 50
