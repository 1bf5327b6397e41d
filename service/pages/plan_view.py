"""A plan as the page for a new job shows it: expected size and error, the presets beside each other, and the layers."""

from dataclasses import dataclass

from jobs.job import Problem, Status
from quant.outcome.plan import FileSize, Form, Plan, SizeBasis, WeightSqnr
from service.pages.formats import counted, decibels, percent, size
from service.plans.schemas import PlanOut

FORMS: dict[Form, str] = {
    "integer": "codes for integer kernels",
    "matmul_nbits": "codes for MatMulNBits",
    "folded": "codes, floats once loaded",
    "direct": "codes, floats at each run",
}
BASES: dict[SizeBasis, str] = {
    "exact": "exact",
    "structure": "expected: the job measures some values in the file and may leave layers in float",
    "sum": "at least: the sum of the tensors",
    "limit": "at most: the job searches for the bits and the grid of each layer",
}


@dataclass(frozen=True)
class PresetRow:
    """A preset for this model: expected size and weight error, and whether it needs calibration data."""

    name: str
    size: str
    share: str
    sqnr: str
    needs_calibration: bool
    chosen: bool


@dataclass(frozen=True)
class LayerRow:
    """A layer that the job would quantize."""

    name: str
    op: str
    shape: str
    bits: int
    grid: str
    form: str
    kernel: str
    sqnr: str
    expected_sqnr: str
    size: str
    notes: tuple[str, ...]


@dataclass(frozen=True)
class PlanView:
    """A plan in words.

    Attributes:
        headline: the expected size and error in one sentence.
        basis: how exact the sizes are, and on which weights the error was found.
        needs: sentences on the data that the job needs.
        presets: the same model with each preset.
        layers: the layers that are quantized.
        skipped: name, operator and reason of every node that stays as it is.
        warnings: sentences for the owner of the model.
        spec: the spec as YAML to edit.
    """

    headline: str
    basis: str
    needs: tuple[str, ...]
    presets: tuple[PresetRow, ...]
    layers: tuple[LayerRow, ...]
    skipped: tuple[tuple[str, str, str], ...]
    warnings: tuple[str, ...]
    spec: str


@dataclass(frozen=True)
class PlanAnswer:
    """The answer to a request for a plan: the plan, or the reason why there is none; neither while it is not ready."""

    plan: PlanView | None = None
    problem: Problem | None = None

    @property
    def pending(self) -> bool:
        """True if the plan is not ready."""
        return self.plan is None and self.problem is None


def plan_answer(answer: PlanOut) -> PlanAnswer:
    """Return the answer for the page."""
    if answer.status == Status.SUCCEEDED and answer.result is not None:
        return PlanAnswer(plan=plan_view(answer.result))
    return PlanAnswer(problem=answer.error)


def plan_view(plan: Plan) -> PlanView:
    """Return a plan in words."""
    needs = (
        *(["The job needs calibration data."] if plan.needs_calibration else []),
        *(["The job needs evaluation data, because a gate is measured on them."] if plan.needs_evaluation else []),
    )
    return PlanView(
        headline=f"{_sizes(plan.size)}{_error(plan.weight)}. "
        f"{counted(len(plan.layers), 'layer')} to quantize, {counted(len(plan.skipped), 'node')} to leave as they are.",
        basis=f"Size: {BASES[plan.size.basis]}. {_sample(plan.weight)}",
        needs=needs,
        presets=tuple(
            PresetRow(
                preset.preset,
                size(preset.size.bytes_after),
                percent(preset.size.size_ratio),
                decibels(preset.weight.sqnr_db) or "not known",
                preset.needs_calibration,
                preset.preset == plan.spec.get("preset"),
            )
            for preset in plan.presets
        ),
        layers=tuple(
            LayerRow(
                layer.name, layer.op, "×".join(map(str, layer.weight_shape)), layer.bits, layer.grid, FORMS[layer.form],
                layer.kernel, decibels(layer.weight.sqnr_db), decibels(layer.weight.expected_sqnr_db),
                size(layer.bytes_after), layer.notes,
            )
            for layer in plan.layers
        ),
        skipped=tuple((node.name, node.op, node.reason) for node in plan.skipped),
        warnings=plan.warnings,
        spec=plan.spec_yaml,
    )  # fmt: skip


def _sizes(sizes: FileSize) -> str:
    return f"{size(sizes.bytes_after)}, {percent(sizes.size_ratio)} of {size(sizes.bytes_before)}"


def _error(weight: WeightSqnr) -> str:
    return "" if weight.sqnr_db is None else f", with a weight SQNR of {decibels(weight.sqnr_db)}"


def _sample(weight: WeightSqnr) -> str:
    if weight.sqnr_db is None:
        return f"No weight SQNR: {weight.reason}." if weight.reason else ""
    return f"Weight SQNR: without data, on {weight.channels} of {weight.of_channels} output channels."
