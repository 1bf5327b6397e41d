"""Options of different sections that do not go together are refused."""

import pytest

from quant.errors import SpecError
from quant.spec import resolve


@pytest.mark.parametrize("gates", [{}, {"max_size_ratio": 0.3}])
def test_the_smallest_model_needs_a_gate_on_quality(gates):
    with pytest.raises(SpecError, match="needs a gate on quality; accepted: gates with min_output_sqnr_db"):
        resolve({"objective": "smallest_within_gates", "gates": gates})


@pytest.mark.parametrize("raw", [
    {"weights": {"granularity": "block"}}, {"layers": [{"match": "*", "weights": {"granularity": "block"}}]},
])  # fmt: skip
def test_blocks_are_for_weight_only_models(raw):
    with pytest.raises(SpecError, match="granularity block is for weight-only models"):
        resolve({"preset": "int4", **raw})
    resolve({"preset": "int4-weights", **raw})


def test_a_budget_or_an_objective_allocates_bits():
    assert not resolve({}).allocates
    assert resolve({"budget": {"max_bytes": 1}}).allocates
    assert resolve({"objective": "smallest_within_gates", "gates": {"min_output_sqnr_db": 9}}).allocates


def test_a_search_measures_the_task_only_for_its_gates():
    search = {"objective": "smallest_within_gates"}
    assert resolve({**search, "gates": {"min_text_exact": 0.9}}).searches_by_task
    assert not resolve({**search, "gates": {"min_output_sqnr_db": 9}}).searches_by_task
    assert not resolve({"gates": {"min_text_exact": 0.9}}).searches_by_task
