"""A plug-in is one class and one registry line; the lists that callers see follow."""

from typing import Annotated, Literal

import numpy as np
import pytest
from pydantic import BeforeValidator, Field, TypeAdapter, ValidationError

from quant.methods import registry
from quant.methods.clipping.base import ClipRuleBase
from quant.methods.distributions.laplace import FittedLaplace, Laplace
from quant.methods.distributions.selection import select
from quant.methods.distributions.statistics import summarise
from quant.methods.grids.base import GridBase
from quant.methods.grids.codebook import Codebook
from quant.methods.grids.uniform import Uniform
from quant.methods.registry import DISTRIBUTIONS, ClipRule, ClipRuleField, FamilyEntry, Grid

ROWS = np.random.default_rng(0).laplace(size=(3, 500)).astype(np.float32)


class HalfMax(ClipRuleBase):
    """Half the largest weight."""

    name: Literal["half_max"] = "half_max"

    def bound(self, statistics, fit, bits, *, mid_rise=False):
        return statistics.max_abs / 2


class Signs(GridBase):
    """Two levels at the mean magnitude."""

    name: Literal["signs"] = "signs"

    def build(self, statistics, fit, clip, bits):
        level = statistics.sum_abs / statistics.count
        return Codebook.from_levels(np.stack([-level, level], axis=1))


class Wide(Laplace):
    """Laplace of twice the scale."""

    def fit(self, statistics):
        fitted = super().fit(statistics)
        return FittedLaplace(fitted.location, 2 * fitted.scale)


def named(union):
    return TypeAdapter(Annotated[union, Field(discriminator="name"), BeforeValidator(registry.expand_name)])


def test_a_new_clip_rule_and_a_new_grid_are_one_class_and_one_line_each():
    statistics = summarise(ROWS)
    fit = select(statistics, ("laplace",), "aic")
    rule = named(ClipRule | HalfMax).validate_python("half_max")
    np.testing.assert_array_equal(rule.bound(statistics, fit, 8), statistics.max_abs / 2)
    book = named(Grid | Signs).validate_python({"name": "signs"}).build(statistics, fit, statistics.max_abs, 2)
    assert set(np.sign(book.decode(book.encode(ROWS))).ravel()) == {-1, 1}


def test_a_new_family_is_one_class_and_one_line(monkeypatch):
    monkeypatch.setitem(DISTRIBUTIONS, "wide", FamilyEntry(f"{__name__}:Wide", "Laplace of twice the scale."))
    fit = select(summarise(ROWS), ("wide", "laplace"), "aic")
    assert fit.family == ("laplace",) * 3
    assert fit.candidates[0].log_likelihood.max() < fit.candidates[1].log_likelihood.min()
    assert "wide" in [entry["name"] for entry in registry.describe_distributions()]


def test_an_unknown_name_lists_the_known_ones():
    with pytest.raises(ValidationError) as caught:
        TypeAdapter(ClipRuleField).validate_python("magic")
    assert all(f"'{entry['name']}'" in str(caught.value) for entry in registry.describe_clip_rules())


def test_a_field_that_a_plug_in_does_not_have_is_refused():
    with pytest.raises(ValidationError):
        TypeAdapter(ClipRuleField).validate_python({"name": "minmax", "q": 3})
    assert TypeAdapter(ClipRuleField).validate_python({"name": "percentile", "q": 99}).q == 99


def test_plug_ins_are_described_with_their_options():
    described = {entry["name"]: entry for entry in registry.describe_clip_rules() + registry.describe_grids()}
    assert described["uniform"]["description"] == Uniform.__doc__.split("\n")[0]
    assert set(described["percentile"]["options"]) == {"q"}
    assert described["auto"]["options"] == {}
