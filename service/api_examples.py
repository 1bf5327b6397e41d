"""Examples for the OpenAPI document: documents of a real job, of which every schema and property gets its part.

`python -m docs.api_examples` records them.
"""

from typing import Any


def add_examples(document: dict[str, Any]) -> None:
    """Add examples."""
