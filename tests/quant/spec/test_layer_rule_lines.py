"""Lines for the spec are YAML, and match exactly the layer that they name."""

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from quant.spec import resolve
from quant.spec.layer_rule_lines import layer_rule_lines

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=30)


def rules(lines):
    """Return the layer rules of a spec with these lines."""
    return resolve({"preset": "int8-weights", **yaml.safe_load(lines)}).layers


@given(TEXTS)
def test_a_name_of_any_characters_matches_itself_alone(name):
    (rule,) = rules(layer_rule_lines(resolve({}), name, "Conv", {"bits": 8}))
    assert rule.matches(name, "Conv")
    assert not rule.matches(f"{name}x", "Conv")
    assert rule.weights.bits == 8


@pytest.mark.parametrize("name", ["a*", "a?b", "[ab]", "a[!b]c", "**", "a\\b", 'say "hi"', "line\nbreak", "\U0001f600"])
def test_globs_and_quotes_are_escaped(name):
    (rule,) = rules(layer_rule_lines(resolve({}), name, "Conv", {"bits": 8}))
    assert rule.matches(name, "Conv")
    assert not any(rule.matches(other, "Conv") for other in ("a", "ab", "axb", "acc", "other"))


def test_options_of_the_rule_that_applied_are_kept():
    spec = resolve({"layers": [{"match": "fc*", "weights": {"granularity": "tensor", "clipping": "mse", "bits": 4}}]})
    (rule,) = rules(layer_rule_lines(spec, "fc1", "Gemm", {"bits": 8}))
    assert (rule.weights.granularity, rule.weights.clipping.name, rule.weights.bits) == ("tensor", "mse", 8)


def test_a_layer_is_left_in_float():
    lines = layer_rule_lines(resolve({}), "conv1", "Conv", None)
    assert lines == 'layers:\n  - match: "conv1"\n    skip: true\n'
    assert rules(lines)[0].skip
