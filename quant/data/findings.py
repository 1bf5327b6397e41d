"""Findings on the data of a job: what its owner has to know, with a code that a program can read."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from quant.data.dataset import Dataset


@dataclass(frozen=True)
class DataFinding:
    """One finding on a data set.

    Attributes:
        code: a stable name of the kind, such as `calibration.constant`.
        detail: a sentence for the owner of the job.
        names: the inputs or layers that it is about; empty if it is about the whole set.
    """

    code: str
    detail: str
    names: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """Return the entry of the report's `data_findings`."""
        return {"code": self.code, "detail": self.detail, "names": list(self.names)}


def texts(findings: Sequence[DataFinding]) -> list[str]:
    """Return the sentences of the findings, for the report's `warnings`."""
    return [finding.detail for finding in findings]


def incomplete_batches(datasets: Mapping[str, Dataset | None]) -> list[DataFinding]:
    """Return a finding for each data set whose last batch is incomplete and left out, by the set's role."""
    return [
        DataFinding(
            "dataset.incomplete_batch",
            f"{data.used} of the {data.samples} samples of the {role} data are used: the model takes batches of "
            f"exactly {data.batch} samples",
        )
        for role, data in datasets.items()
        if data is not None and data.fixed and data.used < data.samples
    ]
