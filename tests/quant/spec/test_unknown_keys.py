import pytest

from quant.errors import SpecError
from quant.spec import resolve


@pytest.mark.parametrize(
    ("spec", "detail"),
    [
        (
            {"weights": {"bist": 4}},
            "/weights/bist: unknown key `bist`: did you mean `bits`?; accepted: bits, granularity, block_size, ",
        ),
        (
            {"layers": [{"match": "*", "bits": 8}]},
            "/layers/0/bits: unknown key `bits`; accepted: match, skip, weights",
        ),
        ({"layers": [{"match": {"op": "Conv", "x": 1}}]}, "/layers/0/match/x: unknown key `x`; accepted: op"),
        ({"budget": {"size": 1}}, "/budget/size: unknown key `size`; accepted: max_size_ratio, max_bytes"),
        (
            {"activations": {"clipping": {"name": "percentile", "x": 1}}},
            "/activations/clipping/x: unknown key `x`; accepted: name, q",
        ),
    ],
)
def test_an_unknown_key_is_answered_with_the_keys_of_its_place(spec, detail):
    with pytest.raises(SpecError) as error:
        resolve(spec)
    assert detail in error.value.detail


def test_the_keys_of_other_methods_are_not_listed():
    with pytest.raises(SpecError) as error:
        resolve({"weights": {"clipping": {"name": "mae", "q": 1}}})
    assert error.value.detail.endswith("accepted: name")
