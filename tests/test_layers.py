"""The picture of the layers in docs/design.md agrees with the import contracts."""

from docs import layers


def test_the_picture_is_up_to_date():
    page = layers.PAGE.read_text()
    assert page == layers.with_picture(page, layers.contracts()), "run python -m docs.layers"


def test_the_picture_shows_every_layer_and_every_rule():
    rules = [
        {"type": "layers", "layers": ["upper | beside", "lower"]},
        {"type": "forbidden", "source_modules": ["lower"], "forbidden_modules": ["web", "queue"]},
    ]
    picture = layers.picture(rules)
    assert 'a0["upper | beside"]' in picture
    assert "a0 --> a1" in picture
    assert "| `lower` | `web`, `queue` |" in picture
