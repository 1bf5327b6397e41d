"""The summary of a job: its most important figures, as the job record, the report and the gates read them."""

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from quant.outcome.task_values import TaskValue


def _figure(unit: str, description: str) -> Any:
    """Return the schema metadata of one figure; `unit` is published as the extension `x-unit`."""
    return Field(description=description, json_schema_extra={"x-unit": unit})


class SizeFigures(BaseModel):
    """Sizes of the float and the quantized model."""

    model_config = ConfigDict(frozen=True)

    bytes_before: Annotated[int, _figure("bytes", "Size of the float model with its external data.")]
    bytes_after: Annotated[int, _figure("bytes", "Size of the quantized model with its external data.")]
    size_ratio: Annotated[float, _figure("fraction", "`bytes_after` divided by `bytes_before`.")]

    @classmethod
    def of(cls, bytes_before: int, bytes_after: int) -> "SizeFigures":
        """Return the sizes with their ratio."""
        return SizeFigures(bytes_before=bytes_before, bytes_after=bytes_after, size_ratio=bytes_after / bytes_before)


class LayerFigures(BaseModel):
    """Figures of all layers together."""

    model_config = ConfigDict(frozen=True)

    layers: Annotated[int, _figure("layers", "Layers with a weight, quantized or not.")]
    quantized_layers: Annotated[int, _figure("layers", "Layers whose weight was quantized.")]
    weight_sqnr_db: Annotated[float | None, _figure("dB", "SQNR over all quantized weights together.")]


class WorstOutput(BaseModel):
    """The output with the least SQNR among those that have one."""

    model_config = ConfigDict(frozen=True)

    name: Annotated[str, Field(description="Name of the output.")]
    sqnr_db: Annotated[
        float | None, _figure("dB", "Its SQNR; null where only the quantized model's values are NaN or infinite.")
    ]


class OutputFigures(BaseModel):
    """Comparison of both models' outputs on the evaluation data; None where a figure was not measured."""

    model_config = ConfigDict(frozen=True)

    output_sqnr_db: Annotated[
        float | None,
        _figure(
            "dB",
            "SQNR over all float outputs together, or over all 8- and 16-bit ones where no output holds floats, at "
            "finite positions; 200 for equal outputs; null without evaluation data and where no output has an SQNR.",
        ),
    ]
    output_cosine: Annotated[float | None, _figure("cosine", "Cosine similarity of both models' outputs, -1 to 1.")]
    top1_agreement: Annotated[
        float | None, _figure("fraction", "Share of samples for which both models choose the same class.")
    ]
    top1_float: Annotated[float | None, _figure("percent", "Top-1 accuracy of the float model; null without labels.")]
    top1_quantized: Annotated[
        float | None, _figure("percent", "Top-1 accuracy of the quantized model; null without labels.")
    ]

    worst_output: Annotated[
        WorstOutput | None, _figure("dB", "The output with the least SQNR; null where no output has one.")
    ] = None
    task_metrics: Annotated[
        tuple[TaskValue, ...], _figure("each value's own", "The figures of the model's task; empty without any.")
    ] = ()

    @property
    def least_sqnr_db(self) -> float | None:
        """The SQNR of the worst output in dB; None where no output has one."""
        return self.output_sqnr_db if self.worst_output is None else self.worst_output.sqnr_db

    @property
    def top1_drop_points(self) -> float | None:
        """The top-1 accuracy that quantization costs, in percentage points; None without labels."""
        if self.top1_float is None or self.top1_quantized is None:
            return None
        return self.top1_float - self.top1_quantized


LIMIT_CODE = "limits.seconds"
"""The code of the warning that the time limit of the spec ended the search."""


class JobWarning(BaseModel):
    """A warning with a code that a program can read; its sentence is among the warnings of the report."""

    model_config = ConfigDict(frozen=True)

    code: Annotated[str, Field(description="Stable name of the kind, such as `limits.seconds`.")]
    detail: Annotated[str, Field(description="Sentence for the owner of the model.")]


class Summary(OutputFigures, LayerFigures, SizeFigures):
    """The most important figures of a job; a figure is null where the data for it was not given."""

    warnings: Annotated[
        tuple[JobWarning, ...], Field(description="Warnings about the job: its time limit, the size of the file.")
    ] = ()

    seconds: Annotated[float | None, _figure("seconds", "Duration of the job; null in the stored report.")]

    @property
    def ended_early(self) -> bool:
        """True if the time limit of the spec ended the search: an equal job may give another result."""
        return any(warning.code == LIMIT_CODE for warning in self.warnings)


UNMEASURED = OutputFigures(
    output_sqnr_db=None, output_cosine=None, top1_agreement=None, top1_float=None, top1_quantized=None
)
"""The output figures of a job without evaluation data."""
