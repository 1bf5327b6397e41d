"""Summaries for tests."""

from typing import Any

from quant.outcome.summary import UNMEASURED, SizeFigures, Summary


def summary(bytes_after: int = 250, **figures: Any) -> Summary:
    """Return the summary of a model of 1000 bytes whose weights have 21 dB; `figures` replaces others."""
    sizes = SizeFigures.of(1000, bytes_after)
    others = {"layers": 5, "quantized_layers": 4, "weight_sqnr_db": 21.0, "seconds": None}
    return Summary(**{**sizes.model_dump(), **UNMEASURED.model_dump(), **others, **figures})
