"""The editable spec resolves to the same spec, and its commented rules match one layer each."""

import re

import pytest
import yaml

from quant.outcome.plan import PlannedLayer, WeightSqnr
from quant.plan.spec_text import MAX_RULES, editable_spec
from quant.spec import PRESETS, resolve

SPECS = [
    *({"preset": name} for name in PRESETS),
    {"weights": {"clipping": {"name": "percentile", "q": 99.9}}, "layers": [{"match": "a*", "skip": True}]},
    {"preset": "int4-weights", "budget": {"max_bytes": 1000}, "gates": {"max_size_ratio": 0.3}},
]


def layer(name, sqnr_db=20.0):
    weight = WeightSqnr(sqnr_db=sqnr_db, expected_sqnr_db=None, channels=1, of_channels=1)
    return PlannedLayer(
        name=name, op="Conv", weight_shape=(1, 1), parameters=1, bits=4, granularity="channel", block_size=None,
        grid="uniform", clipping="auto", form="integer", kernel="", distribution={}, weight=weight, bytes_before=4,
        bytes_after=1, notes=(),
    )  # fmt: skip


@pytest.mark.parametrize("raw", SPECS, ids=str)
def test_the_text_resolves_to_the_same_spec(raw):
    spec = resolve(raw)
    assert resolve(yaml.safe_load(editable_spec(spec, [layer("conv1")]))) == spec


@pytest.mark.parametrize(
    "name", ["conv1", "a[0]/b*?", 'quo"te', "line\nbreak", "next\x85line", "\u2028", "# no", "ü😀", "tab\t: x"]
)
def test_a_rule_that_is_uncommented_matches_its_layer_alone(name):
    text = editable_spec(resolve({}), [layer(name), layer("other")])
    assert len(re.findall(r"(?m)^#  - ", text)) == 2
    spec = resolve(yaml.safe_load(re.sub(r"(?m)^#(  - )", r"\1", text.replace("layers: []", "layers:"))))
    assert [rule.matches(name, "Conv") for rule in spec.layers] == [True, False]
    assert not spec.layers[0].matches("a0/bxx", "Conv")


def test_only_the_worst_layers_are_listed():
    layers = [layer(f"l{number}", float(number)) for number in range(MAX_RULES + 5)]
    text = editable_spec(resolve({}), layers)
    assert text.count("\n#  - ") == MAX_RULES
    assert f'"l{MAX_RULES - 1}"' in text
    assert f'"l{MAX_RULES}"' not in text
