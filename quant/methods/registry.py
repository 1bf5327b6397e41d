"""What can be plugged in: the lists that the spec, the capabilities, the docs and the tests read.

The gateway imports this module, so families, which need scipy, are named here and imported when they are used.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pkgutil import resolve_name
from typing import Annotated, Any, get_args

from pydantic import BaseModel, BeforeValidator, Field

from quant.methods.clipping.auto import Auto
from quant.methods.clipping.empirical import EmpiricalMae, EmpiricalMse
from quant.methods.clipping.mae import Mae
from quant.methods.clipping.minmax import MinMax
from quant.methods.clipping.mse import Mse
from quant.methods.clipping.percentile import Percentile
from quant.methods.clipping.support_region import SupportRegion
from quant.methods.grids.apot import Apot
from quant.methods.grids.kmeans import KMeans
from quant.methods.grids.lloyd_max import LloydMax
from quant.methods.grids.ternary import TernaryMquant, TernaryOptimal, TernaryTquant, TernaryTwn
from quant.methods.grids.uniform import Uniform
from quant.methods.ranges.analytic import AnalyticRange
from quant.methods.ranges.auto import AutoRange
from quant.methods.ranges.entropy import EntropyRange
from quant.methods.ranges.minmax import MinMaxRange
from quant.methods.ranges.mse import MseRange
from quant.methods.ranges.percentile import PercentileRange
from quant.methods.rounding.error_feedback import ErrorFeedback, ExpectedFeedback
from quant.methods.rounding.nearest import Nearest


@dataclass(frozen=True)
class Entry:
    """Where a family's class is, what it is in one line, and whether it has a shape, which few weights cannot carry."""

    target: str
    description: str
    shaped: bool = False

    def load(self) -> Any:
        return resolve_name(self.target)


DISTRIBUTIONS = {
    "gaussian": Entry("quant.methods.distributions.gaussian:Gaussian", "Normal; mean and standard deviation."),
    "laplace": Entry("quant.methods.distributions.laplace:Laplace", "Laplace; median and mean absolute deviation."),
    "student_t": Entry(
        "quant.methods.distributions.student_t:StudentT",
        "Student's t; location, scale, degrees of freedom.",
        shaped=True,
    ),
    "generalized_gaussian": Entry(
        "quant.methods.distributions.generalized_gaussian:GeneralizedGaussian",
        "Exponential power; location, scale, exponent.",
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
    | LloydMax
    | KMeans
    | Apot
    | TernaryTquant
    | TernaryMquant
    | TernaryTwn
    | TernaryOptimal
)  # fmt: skip
RangeRule = (
    MinMaxRange
    | PercentileRange
    | MseRange
    | EntropyRange
    | AnalyticRange
    | AutoRange
)  # fmt: skip
Rounding = Nearest | ErrorFeedback | ExpectedFeedback


def named(value: Any) -> Any:
    """A name alone is short for the object."""
    return {"name": value} if isinstance(value, str) else value


ClipRuleField = Annotated[ClipRule, Field(discriminator="name"), BeforeValidator(named)]
GridField = Annotated[Grid, Field(discriminator="name"), BeforeValidator(named)]
RangeRuleField = Annotated[RangeRule, Field(discriminator="name"), BeforeValidator(named)]
RoundingField = Annotated[Rounding, Field(discriminator="name"), BeforeValidator(named)]


def describe_plugins(classes: Iterable[type[BaseModel]]) -> list[dict[str, Any]]:
    """Name, one-line description and options of each class, for callers."""
    return [
        {
            "name": cls.model_fields["name"].default,
            "description": (cls.__doc__ or "").split("\n")[0],
            "options": {k: v for k, v in cls.model_json_schema().get("properties", {}).items() if k != "name"},
        }
        for cls in classes
    ]


def describe_clip_rules() -> list[dict[str, Any]]:
    return describe_plugins(get_args(ClipRule))


def describe_grids() -> list[dict[str, Any]]:
    return describe_plugins(get_args(Grid))


def describe_range_rules() -> list[dict[str, Any]]:
    return describe_plugins(get_args(RangeRule))


def describe_roundings() -> list[dict[str, Any]]:
    return describe_plugins(get_args(Rounding))


def describe_distributions() -> list[dict[str, Any]]:
    return [{"name": name, "description": entry.description} for name, entry in DISTRIBUTIONS.items()]
