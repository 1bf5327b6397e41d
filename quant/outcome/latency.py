"""Latency of the float and the quantized model, as the job's record and its report page hold it."""

from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

Milliseconds = Annotated[float, Field(ge=0, allow_inf_nan=False, json_schema_extra={"x-unit": "ms"})]


class Timing(BaseModel):
    """The duration of one inference, from several runs of one model.

    With one thread, it is the thread's processor time, which other processes on the machine do not change. With more
    threads, it is the elapsed time.
    """

    model_config = ConfigDict(frozen=True)

    threads: Annotated[int, Field(ge=1, description="Threads that an operator may use.")]
    batch: Annotated[int, Field(ge=1, description="Samples in an inference.")]
    median_ms: Annotated[Milliseconds, Field(gt=0, description="Median duration of an inference.")]
    quartiles_ms: Annotated[
        tuple[Milliseconds, Milliseconds], Field(description="First and third quartile of the duration.")
    ]
    runs: Annotated[int, Field(ge=1, description="Measured runs.")]


class LayerTime(BaseModel):
    """The median time of one layer in both models, including the conversions of its output."""

    model_config = ConfigDict(frozen=True)

    name: Annotated[str, Field(description="Name of the layer; empty for all other nodes together.")]
    op: Annotated[str, Field(description="ONNX name of its operator; empty for all other nodes together.")]
    float_ms: Annotated[Milliseconds, Field(description="Time of the layer in the float model.")]
    quantized_ms: Annotated[Milliseconds, Field(description="Time of the layer in the quantized model.")]


class ModelTimings(BaseModel):
    """The timings of both models, whose runs alternate; entries at the same index have the same threads and batch."""

    model_config = ConfigDict(frozen=True)

    float: Annotated[tuple[Timing, ...], Field(description="Timings of the float model.")]
    quantized: Annotated[tuple[Timing, ...], Field(description="Timings of the quantized model.")]

    @model_validator(mode="after")
    def _paired(self) -> Self:
        if len(self.float) != len(self.quantized):
            raise ValueError("both models need equally many timings")
        return self


class Latency(ModelTimings):
    """The measured latency of both models. It differs from run to run, so the stored artifacts do not contain it."""

    ratio: Annotated[
        float | None,
        Field(
            allow_inf_nan=False,
            description="Median of the quantized model divided by that of the float model, for the first timings: the "
            "calibration batch and one thread. Null if not measured.",
        ),
    ]
    reason: Annotated[str | None, Field(description="Why the latency was not measured; null if it was.")] = None
    layers: Annotated[tuple[LayerTime, ...], Field(description="Time of each layer, for the first timings.")] = ()
    other: Annotated[LayerTime | None, Field(description="Time of all other nodes together.")] = None
    warnings: Annotated[tuple[str, ...], Field(description="Warnings for the owner of the model.")] = ()

    @classmethod
    def unmeasured(cls, reason: str) -> "Latency":
        """Return a latency without figures."""
        return cls(float=(), quantized=(), ratio=None, reason=reason)
