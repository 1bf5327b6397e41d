"""The quantization spec: what a caller may ask for, with its presets and its defaults.

Importing this module loads neither onnx nor scipy: the gateway validates specs with it.
"""

from collections.abc import Iterable, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag, ValidationError, field_validator, model_validator

from quant.errors import DataRequired, FieldError, SpecError
from quant.methods import registry
from quant.methods.clipping.auto import Auto
from quant.methods.grids.uniform import Uniform
from quant.methods.ranges.minmax import MinMaxRange
from quant.methods.registry import ClipRuleField, GridField, RangeRuleField, RoundingField
from quant.methods.rounding.nearest import Nearest
from quant.outcome.gates import GATES, GateLimits, gates_section

PRESETS: dict[str, dict[str, Any]] = {
    "int8": {"weights": {"bits": 8}, "activations": {"bits": 8}},
    "int8-weights": {"weights": {"bits": 8}, "activations": None},
    "int4": {"weights": {"bits": 4}, "activations": {"bits": 8}},
    "int4-weights": {"weights": {"bits": 4}, "activations": None},
    "codebook4": {"weights": {"bits": 4, "grid": "kmeans"}, "activations": {"bits": 8}},
    "ternary": {"weights": {"bits": 2, "grid": "ternary_optimal"}, "activations": {"bits": 8}, "export": {"opset": 25}},
}
"""What each preset says where the caller is silent; weights without activations are weight-only."""


Metric = Literal["sqnr", "cosine", "mse", "mean_iou"]
"""What the outputs of models that are no classifiers may be compared by; `mean_iou` is that of the likeliest class."""


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Weights(_Part):
    """How weights are quantized."""

    bits: Literal[8, 6, 4, 3, 2] = 8
    granularity: Literal["tensor", "channel", "block"] = "channel"
    block_size: Literal[16, 32, 64, 128] = 32
    symmetric: Literal[True] = True
    grid: GridField = Uniform()
    clipping: ClipRuleField = Auto()
    distributions: tuple[str, ...] = Field(default=tuple(registry.DISTRIBUTIONS), min_length=1)
    selection: Literal["aic", "bic", "ks"] = "aic"
    rounding: RoundingField = Nearest()

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
        if self.bits == 6 and not grid.integer_levels:
            raise ValueError(f"6 bits are uniform; accepted: grid uniform, or bits 4, 3, 2 for {grid.name}")
        if self.bits == 3 and grid.integer_levels:
            raise ValueError(
                "3 bits are stored as a codebook; accepted: grid lloyd_max, kmeans or apot, or bits 8, 4, 2"
            )
        if self.granularity == "block" and not isinstance(grid, Uniform):
            raise ValueError(f"a {grid.name} grid is per tensor or channel; accepted with granularity block: uniform")
        return self


class Activations(_Part):
    """How activations are quantized; needs calibration data."""

    bits: Literal[8, 16] = 8
    symmetric: bool = False
    clipping: RangeRuleField = MinMaxRange()


class WeightsOverride(_Part):
    """The part of `Weights` that a layer rule replaces; what it leaves out stays as it is for the model."""

    bits: Literal[8, 6, 4, 3, 2] | None = None
    granularity: Literal["tensor", "channel", "block"] | None = None
    block_size: Literal[16, 32, 64, 128] | None = None
    grid: GridField | None = None
    clipping: ClipRuleField | None = None
    rounding: RoundingField | None = None

    def apply(self, weights: Weights) -> Weights:
        """The weights section with this part replaced.

        Raises:
            ValueError: the two do not go together.
        """
        return Weights.model_validate(
            {**dict(weights), **{name: getattr(self, name) for name in self.model_fields_set}}
        )


class OperatorMatch(_Part):
    """Matches every layer of one operator, such as `{op: Conv}`."""

    op: Literal["Conv", "ConvTranspose", "Gemm", "MatMul", "LSTM", "GRU", "RNN", "Gather"]


class LayerRule(_Part):
    """An exception for the layers that `match` names: a glob on the layer's name, or an operator."""

    match: Annotated[
        Annotated[str, Tag("glob")] | Annotated[OperatorMatch, Tag("operator")],
        Discriminator(lambda value: "glob" if isinstance(value, str) else "operator"),
    ]
    skip: bool = False
    weights: WeightsOverride = WeightsOverride()

    def matches(self, name: str, op: str) -> bool:
        if isinstance(self.match, OperatorMatch):
            return self.match.op == op
        return fnmatchcase(name, self.match)


class Export(_Part):
    """How the quantized model is stored."""

    format: Literal["qdq"] = "qdq"
    opset: int = Field(default=21, ge=21, le=26)
    weight_storage: Literal["fast", "direct"] = "fast"
    profile: Literal["ort-cpu", "generic"] = "ort-cpu"


class ModuleInput(_Part):
    """One tensor that a TorchScript module takes: `name` in the ONNX model, a letter in `shape` is a dynamic axis."""

    name: str = Field(pattern=r"^[A-Za-z_]\w*$", max_length=100)
    shape: tuple[Annotated[int, Field(gt=0)] | Annotated[str, Field(pattern=r"^[A-Za-z_]\w*$", max_length=100)], ...]
    dtype: Literal["float32", "float64", "float16", "int64", "int32", "int16", "int8", "uint8", "bool"] = "float32"


class TorchScript(_Part):
    """The inputs of a TorchScript module in the order of its arguments; a trace carries its own."""

    inputs: tuple[ModuleInput, ...] = ()

    @field_validator("inputs")
    @classmethod
    def _names_of_their_own(cls, inputs: tuple[ModuleInput, ...]) -> tuple[ModuleInput, ...]:
        if len({given.name for given in inputs}) < len(inputs):
            raise ValueError("two inputs have the same name; give each its own")
        return inputs


if TYPE_CHECKING:
    Gates = GateLimits  # the fields follow from the table of gates, which a type checker cannot read
else:
    Gates = gates_section()


class Budget(_Part):
    """How large the exported file may be, in bytes or as a fraction of the float model's; bits are then allocated."""

    max_size_ratio: float | None = Field(default=None, gt=0)
    max_bytes: int | None = Field(default=None, gt=0)

    @model_validator(mode="after")
    def _one_limit(self) -> Self:
        if (self.max_size_ratio is None) == (self.max_bytes is None):
            raise ValueError("a budget is one limit; accepted: max_size_ratio or max_bytes")
        return self

    def limit(self, bytes_before: int) -> int:
        """The bytes that the exported file may take."""
        return self.max_bytes if self.max_bytes is not None else int((self.max_size_ratio or 0) * bytes_before)


class Spec(_Part):
    """The whole spec, resolved: every key has its value.

    A `full` report says of each layer what its output differs by, and can differ by, on calibration data; one on
    `weights` is made sooner.
    """

    preset: Literal["int8", "int8-weights", "int4", "int4-weights", "codebook4", "ternary"] = "int8"
    weights: Weights = Weights()
    activations: Activations | None = Activations()
    bias_correction: Literal["auto", "none", "data_free", "calibrated"] = "auto"
    equalization: Literal["none", "cross_layer", "auto"] = "none"
    budget: Budget | None = None
    objective: Literal["fixed", "smallest_within_gates"] = "fixed"
    layers: tuple[LayerRule, ...] = ()
    export: Export = Export()
    gates: Gates = Gates()
    report: Literal["full", "weights"] = "full"
    metric: Metric | None = None
    torchscript: TorchScript = TorchScript()
    seed: int = Field(default=0, ge=0)

    @property
    def allocates(self) -> bool:
        """Whether the bits of each layer are to be found."""
        return self.budget is not None or self.objective != "fixed"

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.objective != "fixed" and not any(gate.judges_quality for gate, _ in self.gates.requested()):
            *names, last = (gate.name for gate in GATES if gate.judges_quality)
            raise ValueError(
                f"objective {self.objective} needs a gate on quality; accepted: gates with {', '.join(names)} or {last}"
            )
        sections = [self.weights, *(rule.weights.apply(self.weights) for rule in self.layers)]
        if self.activations is not None and any(section.granularity == "block" for section in sections):
            raise ValueError("granularity block is for weight-only models; accepted: activations null, or granularity "
                             "channel or tensor")  # fmt: skip
        return self

    def weights_for(self, name: str, op: str) -> Weights | None:
        """The weights section for one layer after the first rule that matches; None where it is skipped."""
        for rule in self.layers:
            if rule.matches(name, op):
                return None if rule.skip else rule.weights.apply(self.weights)
        return self.weights

    def bits_are_given(self, name: str, op: str) -> bool:
        """Whether the first rule that matches a layer says its bits, which a budget then leaves as they are."""
        for rule in self.layers:
            if rule.matches(name, op):
                return "bits" in rule.weights.model_fields_set
        return False


def resolve(raw: Mapping[str, Any]) -> Spec:
    """The spec with its preset and defaults filled in.

    Raises:
        SpecError: a key is unknown or a value impossible; `errors` has a JSON pointer for each.
    """
    preset = raw.get("preset", "int8")
    defaults = PRESETS.get(preset, {}) if isinstance(preset, str) else {}
    if (
        isinstance(raw.get("export"), Mapping)
        and raw["export"].get("profile") == "generic"
        and defaults.get("activations")
    ):
        defaults = _merge(defaults, {"activations": {"symmetric": True}})
    try:
        return Spec.model_validate(_merge(defaults, raw))
    except ValidationError as error:
        faults = [FieldError(_pointer(raw, e["loc"]), e["msg"]) for e in error.errors(include_url=False)]
        listed = "; ".join(f"{fault.pointer or '/'}: {fault.detail}" for fault in faults)
        raise SpecError(f"the spec is not valid: {listed}", faults) from None


def require_data(spec: Spec, *, calibration: bool, evaluation: bool) -> None:
    """Check that the data which the spec needs is given.

    Raises:
        DataRequired: activations or a rounding without calibration data, or a gate without what it is measured on.
    """
    faults = []
    if spec.activations is not None and not calibration:
        faults.append(FieldError("/activations", "needs calibration data; give a calibration dataset or "
                                                 "choose activations: null (or a *-weights preset)"))  # fmt: skip
    if spec.objective != "fixed" and not calibration:
        faults.append(FieldError("/objective", f"{spec.objective} is decided on calibration data; without it: fixed"))
    if spec.bias_correction == "calibrated" and not calibration:
        faults.append(FieldError("/bias_correction", "calibrated needs calibration data; without it: auto"))
    if not calibration:
        sections: dict[str, RoundingField | None] = {"/weights": spec.weights.rounding}
        sections |= {f"/layers/{i}/weights": rule.weights.rounding for i, rule in enumerate(spec.layers)}
        faults += [
            FieldError(f"{section}/rounding", f"{rounding.name} needs calibration data; without it choose nearest")
            for section, rounding in sections.items()
            if rounding is not None and rounding.needs_data
        ]
    if not evaluation:
        faults += [
            FieldError(f"/gates/{gate.name}", "is measured on evaluation data; give an evaluation dataset")
            for gate, _ in spec.gates.requested()
            if gate.needs_evaluation
        ]
    if faults:
        raise DataRequired("; ".join(f"{fault.pointer} {fault.detail}" for fault in faults), faults)


def json_schema() -> dict[str, Any]:
    """The JSON Schema of a spec as callers write it."""
    return Spec.model_json_schema()


def capabilities() -> dict[str, Any]:
    """What this version can do, from the registries: bits, granularities, methods and presets."""
    return {
        "weight_bits": [8, 6, 4, 3, 2],
        "activation_bits": [8, 16],
        "granularities": ["tensor", "channel", "block"],
        "grids": registry.describe_grids(),
        "clipping": registry.describe_clip_rules(),
        "roundings": registry.describe_roundings(),
        "activation_clipping": registry.describe_range_rules(),
        "distributions": registry.describe_distributions(),
        "presets": PRESETS,
        "spec_schema": json_schema(),
    }


def _listed(values: Iterable[int]) -> str:
    return ", ".join(map(str, values))


def _merge(defaults: Mapping[str, Any], raw: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(defaults)
    for key, value in raw.items():
        default = merged.get(key)
        nested = isinstance(default, Mapping) and isinstance(value, Mapping)
        merged[key] = _merge(default, value) if nested and isinstance(default, Mapping) else value
    return merged


def _pointer(raw: Any, location: Sequence[str | int]) -> str:
    """The RFC 6901 pointer of a pydantic location, without the tags that name a member of a union."""
    parts: list[str | int] = []
    here = raw
    for position, part in enumerate(location, 1):
        if isinstance(here, Mapping):
            known = part in here
        else:
            known = isinstance(here, list | tuple) and isinstance(part, int) and part < len(here)
        if known:
            here = here[part]
        elif not (isinstance(here, Mapping) and position == len(location)):
            continue
        parts.append(part)
    return "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in parts)
