"""The sections of a spec. The text below each field is its description in the served JSON Schema."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    WithJsonSchema,
    field_validator,
    model_validator,
)

from quant.methods import registry
from quant.methods.clipping.auto import Auto
from quant.methods.grids.uniform import Uniform
from quant.methods.ranges.minmax import MinMaxRange
from quant.methods.registry import ClipRuleField, GridField, RangeRuleField, RoundingField
from quant.methods.rounding.nearest import Nearest
from quant.outcome.gates import GateLimits, gates_section
from quant.spec.profiles import PROFILES, Profile


class Section(BaseModel):
    """The base of all sections: unknown keys and infinite numbers are refused, and values cannot change."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, use_attribute_docstrings=True)


class Weights(Section):
    """The quantization of the weights."""

    bits: Literal[8, 7, 6, 5, 4, 3, 2] = 8
    """Bits of a code. ONNX has types of 8 and 4 bits, and of 2 bits from opset 25. Codes of 7, 6, 5 and 3 bits are put
    together from smaller parts when the model is loaded; 7, 6 and 3 bits need opset 25 and take 8, 8 and 4 before it,
    and where no nodes may lie between the stored codes and the layer."""
    granularity: Literal["tensor", "channel", "block", "auto"] = "channel"
    """The weights that share a scale: the whole tensor, an output channel, or a block of `block_size` inputs. `auto`
    chooses blocks for MatMul and Gemm in weight-only models, and channels for all others."""
    block_size: Literal[16, 32, 64, 128] = 32
    """Weights in a block; read only with granularity `block` or `auto`."""
    symmetric: bool = True
    """The zero point is 0; false gives zero points to blocks of at most 4 bits. All others are always symmetric."""
    tables: Literal["same", "int8", "float"] = "same"
    """Tables (Gather) and the last MatMul or Gemm to a vocabulary: quantized as other weights (`same`) or to 8 bits by
    channel, or left in float. With `int8`, a table of under 0.1 % of the weights stays in float. A layer rule that sets
    bits, a budget and an objective override it."""
    grid: GridField = Uniform()
    """The rule for the levels of a codebook."""
    clipping: ClipRuleField = Auto()
    """The rule for the clip bound, beyond which weights are clipped."""
    distributions: tuple[str, ...] = Field(default=tuple(registry.DISTRIBUTIONS), min_length=1)
    """The distribution families that are fitted to the weights; the best is chosen by `selection`."""
    selection: Literal["aic", "bic", "ks"] = "aic"
    """The criterion for the best family: Akaike's or the Bayesian information criterion, or Kolmogorov-Smirnov."""
    rounding: RoundingField = Nearest()
    """The rule that assigns a level to each weight."""
    scale: Literal["any", "power_of_two"] = "any"
    """The scales: any positive number, or powers of two, as machines require that shift instead of multiplying."""
    pair_sums: Literal["any", "int16"] = "any"
    """Sums of two adjacent products: `int16` makes them fit 16 bits for every activation of 8 bits, as kernels for AVX2
    require; rows whose codes would not are rounded to fewer levels. Read only where activations are quantized."""

    @field_validator("distributions")
    @classmethod
    def _known_distributions(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        unknown = sorted(set(names) - set(registry.DISTRIBUTIONS))
        if unknown:
            raise ValueError(f"unknown: {', '.join(unknown)}; accepted: {', '.join(registry.DISTRIBUTIONS)}")
        if len(set(names)) < len(names):
            raise ValueError("a family is named twice; name each once")
        return names

    @model_validator(mode="after")
    def _storable(self) -> Self:
        grid = self.grid
        if self.bits not in grid.widths:
            raise ValueError(f"{grid.name} has no {self.bits}-bit grid; accepted: {_listed(grid.widths)} bits")
        if self.scale == "power_of_two" and not grid.by_row:
            raise ValueError("a table that rows share has scales of any size; accepted: tables row, or scale any")
        if self.scale == "power_of_two" and self.pair_sums == "int16":
            raise ValueError("pair_sums int16 needs scales of any size; accepted: scale any, or pair_sums any")
        if self.granularity == "block" and not grid.uniform:
            raise ValueError(f"a {grid.name} grid is per tensor or channel; accepted with granularity block: uniform")
        if self.granularity == "block" and self.scale == "power_of_two":
            raise ValueError("blocks have scales of any size; accepted: scale any, or granularity channel or tensor")
        return self


class Activations(Section):
    """The quantization of the activations; it needs calibration data, except in the mode `dynamic`."""

    mode: Literal["static", "dynamic", "auto"] = "static"
    """The ranges of the inputs of MatMul and Gemm: `static` ranges are measured on the calibration set, `dynamic` ones
    by the model on each of its inputs, which needs no calibration data. `auto` chooses on held-out samples where these
    are at least half of the layers and dynamic ranges are possible. Other operators have static ranges, or float inputs
    without calibration data."""

    bits: Literal[8, 16] = 8
    """Bits of a code."""
    symmetric: bool = False
    """Ranges are symmetric about 0, as integer kernels of some devices require."""
    sign: Literal["auto", "signed", "unsigned"] = "auto"
    """The sign of the codes; `auto` is signed for symmetric ranges, and unsigned for others."""
    scale: Literal["any", "power_of_two"] = "any"
    """The scales: any positive number, or powers of two; ranges then grow to the next power."""
    clipping: RangeRuleField = MinMaxRange()
    """The rule for the activation range, measured on the calibration set."""
    without_data: Literal["refuse", "float"] = "refuse"
    """Static ranges without calibration data: the job is refused, or all activations stay in float."""

    @model_validator(mode="after")
    def _computed_by_the_model(self) -> Self:
        if self.mode == "dynamic" and self.refuses_dynamic is not None:
            raise ValueError(self.refuses_dynamic)
        return self

    @property
    def refuses_dynamic(self) -> str | None:
        """Why these codes cannot have dynamic ranges, and what would be accepted; None if they can."""
        if self.bits != 8:
            return "mode dynamic rounds inputs to 8 bits; accepted: bits 8, or mode static or auto"
        if self.symmetric or self.sign == "signed":
            return ("mode dynamic rounds inputs to unsigned codes in ranges that are not symmetric; "
                    "accepted: symmetric false and sign auto or unsigned, or mode static or auto")  # fmt: skip
        if self.scale != "any":
            return "mode dynamic has scales of any size; accepted: scale any, or mode static or auto"
        return None


def _known_profile(name: str) -> str:
    if name not in PROFILES:
        raise ValueError(f"there is no profile {name!r}; accepted: {', '.join(PROFILES)}")
    return name


ProfileName = Annotated[str, AfterValidator(_known_profile), WithJsonSchema({"type": "string", "enum": list(PROFILES)})]
"""The name of a profile in the registry."""


class Export(Section):
    """The storage of the quantized model."""

    format: Literal["qdq"] = "qdq"
    """ONNX with QuantizeLinear and DequantizeLinear nodes."""
    opset: int = Field(default=21, ge=21, le=26)
    """The ONNX opset of the quantized model."""
    weight_storage: Literal["fast", "direct"] = "fast"
    """The nodes after a stored weight: those that ONNX Runtime runs fastest, or the standard DequantizeLinear alone."""
    max_opset: int | None = Field(default=None, ge=13, le=26)
    """The highest opset that the target reads; a model of a later one is converted, or refused; null for no limit."""
    max_ir_version: int | None = Field(default=None, ge=7, le=13)
    """The highest version of ONNX's file format that the target reads; null for no limit."""
    profile: ProfileName = "ort-cpu"
    """The target. A profile sets the options that its machine needs and the caller does not set; the plan and the
    report list what the exported model has that the machine does not take."""
    bias: Literal["auto", "int32", "float"] = "auto"
    """The biases of quantized layers: codes at the scale of input times weight, or floats. `auto` takes codes; where a
    search gives the bits, it takes floats for convolutions whose bias ONNX Runtime rounds when it loads the model."""
    float_storage: Literal["fp32", "fp16"] = "fp32"
    """The type in which constants are stored that stay in float; fp16 is cast to float32 when the model is loaded."""
    matmul_accuracy: Literal["auto", "float", "int8"] = "auto"
    """The inputs of MatMul and Gemm in a weight-only model, as ONNX Runtime on the CPU computes with them: `float`
    inputs in every session, `int8` for inputs rounded to 8 bits in blocks, which is faster and takes less memory for
    large weights; `auto` measures on held-out calibration samples, and takes int8 without data."""

    @property
    def has_ceiling(self) -> bool:
        """True if the opset or the IR version is limited."""
        return self.max_opset is not None or self.max_ir_version is not None

    @property
    def target(self) -> Profile:
        """The profile."""
        return PROFILES[self.profile]


class ModuleInput(Section):
    """One tensor that a TorchScript module takes."""

    name: str = Field(pattern=r"^[A-Za-z_]\w*$", max_length=100)
    """The name of the input in the ONNX model."""
    shape: tuple[Annotated[int, Field(gt=0)] | Annotated[str, Field(pattern=r"^[A-Za-z_]\w*$", max_length=100)], ...]
    """The size of each axis; a name, such as `N`, stands for a dynamic axis."""
    dtype: Literal["float32", "float64", "float16", "int64", "int32", "int16", "int8", "uint8", "bool"] = "float32"
    """The type of the elements."""


class TorchScript(Section):
    """Options for TorchScript modules."""

    inputs: tuple[ModuleInput, ...] = ()
    """The module's inputs in the order of its arguments; not needed if the file contains them, as a trace does."""

    @field_validator("inputs")
    @classmethod
    def _distinct_names(cls, inputs: tuple[ModuleInput, ...]) -> tuple[ModuleInput, ...]:
        if len({module_input.name for module_input in inputs}) < len(inputs):
            raise ValueError("two inputs have the same name; give each its own")
        return inputs


if TYPE_CHECKING:
    Gates = GateLimits  # the fields follow from the table of gates, which a type checker cannot read
else:
    Gates = gates_section()


class Measure(Section):
    """Measurements of time; their figures are in the job's record and differ from run to run."""

    latency: bool | None = None
    """Measure the latency of the float and the quantized model; null: where the float model runs within a second."""


class Limits(Section):
    """Limits on the job; a worker's time-out remains the hard limit."""

    seconds: float | None = Field(default=None, gt=0)
    """Seconds after which the search ends with the best candidate so far: what is not begun by then is left out, such
    as fits, corrections, comparisons and figures of the report. The result then depends on measured time, and says so.
    """


class Budget(Section):
    """The limit on the size of the exported file; the bits of each layer are allocated to meet it."""

    max_size_ratio: float | None = Field(default=None, gt=0)
    """The limit as a fraction of the float model's size."""
    max_bytes: int | None = Field(default=None, gt=0)
    """The limit in bytes."""
    mean_bits: float | None = Field(default=None, ge=2, le=8)
    """The limit as the size of the file in which the weights have so many bits on average, on uniform grids; tables of
    other grids take a part of it."""

    @model_validator(mode="after")
    def _one_limit(self) -> Self:
        if [self.max_size_ratio, self.max_bytes, self.mean_bits].count(None) != 2:
            raise ValueError("a budget is one limit; accepted: max_size_ratio, max_bytes or mean_bits")
        return self

    def limit(self, bytes_before: int) -> int:
        """Return the limit in bytes for a float model of `bytes_before` bytes; not for `mean_bits`."""
        return self.max_bytes if self.max_bytes is not None else int((self.max_size_ratio or 0) * bytes_before)


def _listed(values: Iterable[int]) -> str:
    return ", ".join(map(str, values))
