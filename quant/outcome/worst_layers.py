"""The layers that short forms of a report name first."""

from collections.abc import Mapping, Sequence


def most_harmful(shares: Mapping[str, float | None], by_sqnr: Sequence[str], count: int) -> list[str]:
    """Return the names of the layers with the largest shares of the weights' error, the largest first.

    Args:
        shares: the share of each layer by its name; None where it was not measured.
        by_sqnr: the names of the layers with the least SQNR, the worst first; they are returned if no share is known.
        count: the most names to return.
    """
    measured = {name: share for name, share in shares.items() if share is not None}
    return (sorted(measured, key=lambda name: measured[name], reverse=True) or list(by_sqnr))[:count]
