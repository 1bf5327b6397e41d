"""The registry of plug-ins: distributions, clip rules, grids, range rules, roundings and metrics of tasks.

The spec, the capabilities, the documentation and the tests read these lists. The gateway imports this module, so the
families, which need scipy, are listed by the path of their class and imported when they are used.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pkgutil import resolve_name
from typing import Annotated, Any, get_args

from pydantic import BaseModel, BeforeValidator, Field, WithJsonSchema

from quant.methods.clipping.auto import Auto
from quant.methods.clipping.empirical import EmpiricalMae, EmpiricalMse
from quant.methods.clipping.mae import Mae
from quant.methods.clipping.minmax import MinMax
from quant.methods.clipping.mse import Mse
from quant.methods.clipping.percentile import Percentile
from quant.methods.clipping.support_region import SupportRegion
from quant.methods.grids.apot import Apot
from quant.methods.grids.auto import AutoGrid
from quant.methods.grids.kmeans import KMeans
from quant.methods.grids.lloyd_max import LloydMax
from quant.methods.grids.mid_rise import MidRise
from quant.methods.grids.ternary import TernaryMquant, TernaryOptimal, TernaryTquant, TernaryTwn
from quant.methods.grids.uniform import Uniform
from quant.methods.metrics.ctc_text import CtcText
from quant.methods.metrics.detection import Detection
from quant.methods.metrics.next_token import NextToken
from quant.methods.metrics.regression import Regression
from quant.methods.metrics.retrieval import Retrieval
from quant.methods.metrics.segmentation import Segmentation
from quant.methods.metrics.speech import Speech
from quant.methods.ranges.analytic import AnalyticRange
from quant.methods.ranges.auto import AutoRange
from quant.methods.ranges.entropy import EntropyRange
from quant.methods.ranges.minmax import MinMaxRange
from quant.methods.ranges.mse import MseRange
from quant.methods.ranges.percentile import PercentileRange
from quant.methods.rounding.auto import AutoRounding
from quant.methods.rounding.error_feedback import ErrorFeedback, ExpectedFeedback
from quant.methods.rounding.nearest import Nearest
from quant.methods.rounding.reconstruct import Reconstruct


@dataclass(frozen=True)
class FamilyEntry:
    """A family of distributions in the registry.

    Attributes:
        target: Path of its class, "module:name".
        description: One line for callers.
        shaped: True if it has a shape parameter, which needs more weights to be fitted.
    """

    target: str
    description: str
    shaped: bool = False

    def load(self) -> Any:
        """Return the family's class; it is imported now if it was not before."""
        return resolve_name(self.target)


DISTRIBUTIONS = {
    "gaussian": FamilyEntry(
        "quant.methods.distributions.gaussian:Gaussian",
        "Gaussian distribution with mean and standard deviation by maximum likelihood.",
    ),
    "laplace": FamilyEntry(
        "quant.methods.distributions.laplace:Laplace",
        "Laplace distribution with median and mean absolute deviation by maximum likelihood.",
    ),
    "student_t": FamilyEntry(
        "quant.methods.distributions.student_t:StudentT",
        "Student's t distribution with location, scale and degrees of freedom by maximum likelihood.",
        shaped=True,
    ),
    "generalized_gaussian": FamilyEntry(
        "quant.methods.distributions.generalized_gaussian:GeneralizedGaussian",
        "Generalized Gaussian distribution with location, scale and exponent by maximum likelihood.",
        shaped=True,
    ),
}

ClipRule = (
    Auto
    | MinMax
    | Mae
    | Mse
    | Percentile
    | EmpiricalMae
    | EmpiricalMse
    | SupportRegion
)  # fmt: skip
Grid = (
    Uniform
    | MidRise
    | LloydMax
    | KMeans
    | Apot
    | TernaryTquant
    | TernaryMquant
    | TernaryTwn
    | TernaryOptimal
    | AutoGrid
)  # fmt: skip
RangeRule = (
    MinMaxRange
    | PercentileRange
    | MseRange
    | EntropyRange
    | AnalyticRange
    | AutoRange
)  # fmt: skip
Rounding = Nearest | ErrorFeedback | ExpectedFeedback | AutoRounding | Reconstruct
TaskMetric = (
    Detection
    | Segmentation
    | Retrieval
    | CtcText
    | NextToken
    | Speech
    | Regression
)  # fmt: skip


def expand_name(value: Any) -> Any:
    """Return {"name": value} for a name alone, and any other value as it is."""
    return {"name": value} if isinstance(value, str) else value


def _expanded(methods: Any) -> BeforeValidator:
    """Return the validator of a field that takes the name of a method alone, which its JSON Schema says as well."""
    names = [cls.model_fields["name"].default for cls in get_args(methods)]
    name = Annotated[str, WithJsonSchema({"type": "string", "enum": names})]
    return BeforeValidator(expand_name, json_schema_input_type=name | Annotated[methods, Field(discriminator="name")])


ClipRuleField = Annotated[ClipRule, Field(discriminator="name"), _expanded(ClipRule)]
GridField = Annotated[Grid, Field(discriminator="name"), _expanded(Grid)]
RangeRuleField = Annotated[RangeRule, Field(discriminator="name"), _expanded(RangeRule)]
RoundingField = Annotated[Rounding, Field(discriminator="name"), _expanded(Rounding)]
TaskMetricField = Annotated[TaskMetric, Field(discriminator="name"), _expanded(TaskMetric)]


def describe_plugins(classes: Iterable[type[BaseModel]]) -> list[dict[str, Any]]:
    """Return the name, the one-line description and the options of each class, as the capabilities list them."""
    return [
        {
            "name": cls.model_fields["name"].default,
            "description": (cls.__doc__ or "").split("\n")[0],
            "options": {k: v for k, v in cls.model_json_schema().get("properties", {}).items() if k != "name"},
        }
        for cls in classes
    ]


def describe_clip_rules() -> list[dict[str, Any]]:
    """Return the entries of the clip rules."""
    return describe_plugins(get_args(ClipRule))


def describe_grids() -> list[dict[str, Any]]:
    """Return the entries of the grids."""
    return describe_plugins(get_args(Grid))


def describe_range_rules() -> list[dict[str, Any]]:
    """Return the entries of the range rules."""
    return describe_plugins(get_args(RangeRule))


def describe_roundings() -> list[dict[str, Any]]:
    """Return the entries of the roundings."""
    return describe_plugins(get_args(Rounding))


def describe_task_metrics() -> list[dict[str, Any]]:
    """Return the entries of the metrics of tasks, each with the names of its figures."""
    classes = get_args(TaskMetric)
    return [
        {**entry, "figures": [figure.name for figure in cls.figures]}
        for entry, cls in zip(describe_plugins(classes), classes, strict=True)
    ]


def describe_distributions() -> list[dict[str, Any]]:
    """Return the name and the one-line description of each family."""
    return [{"name": name, "description": entry.description} for name, entry in DISTRIBUTIONS.items()]
