"""The endpoints that describe the spec, the limits and the versions of this service."""

from importlib.metadata import PackageNotFoundError, version
from typing import Any, Literal

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict

from quant.spec import capabilities
from service.context import Ctx
from service.problems import RESPONSES

LIMITS = {"max_model_bytes", "max_dataset_bytes", "job_timeout_s", "job_memory_bytes"}
VERSIONS = ("quantd", "numpy", "scipy", "onnx", "onnx-ir", "onnxruntime")
"""Packages whose version is shown where they are installed; the gateway imports none of them but NumPy."""

router = APIRouter(prefix="/v1", tags=["Service"], responses=RESPONSES)


class Described(BaseModel):
    """A method, preset or machine by its name in a spec."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    name: str
    """The name in a spec."""
    description: str
    """The description in one line."""


class Method(Described):
    """A method that a spec can name."""

    options: dict[str, Any]
    """The JSON Schema of each option, by name; `{name: ..., option: ...}` in a spec sets them."""


class TaskMetricOut(Method):
    """A metric of a task that a spec can name."""

    figures: list[str]
    """The figures that it adds to a report."""


class ProfileOut(Described):
    """A machine that a spec can name as `export.profile`."""

    options: dict[str, Any]
    """The options that it sets, by section."""
    source: str | None
    """The document that the options follow; null for the machine that runs quantd."""


class DatasetFormatOut(Described):
    """A format of datasets."""

    suffixes: list[str]
    """The usual ends of a file's name; only its bytes decide."""


class ServiceLimits(BaseModel):
    """The limits of this service."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    max_model_bytes: int
    """The size of the largest model, in bytes."""
    max_dataset_bytes: int
    """The size of the largest dataset, in bytes."""
    job_timeout_s: float
    """The longest time that a job may run, in seconds."""
    job_memory_bytes: int
    """The memory that a job may use, in bytes."""


class Capabilities(BaseModel):
    """Everything that a spec may ask of this service."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    weight_bits: list[int]
    """The bits that a weight may have."""
    activation_bits: list[int]
    """The bits that an activation may have."""
    granularities: list[str]
    """The groups of weights that can share a scale."""
    grids: list[Method]
    """The rules for the levels of a weight."""
    clipping: list[Method]
    """The rules for the clip bound of weights."""
    roundings: list[Method]
    """The rules that assign a level to each weight."""
    activation_clipping: list[Method]
    """The rules for the ranges of activations."""
    distributions: list[Described]
    """The distributions that are fitted to weights."""
    task_metrics: list[TaskMetricOut]
    """The metrics of tasks."""
    presets: dict[str, dict[str, Any]]
    """The options that each preset sets, by its name."""
    preset_descriptions: dict[str, str]
    """The use of each preset, by its name."""
    dataset_formats: list[DatasetFormatOut]
    """The formats of calibration and evaluation data."""
    profiles: list[ProfileOut]
    """The machines that a model can be made for."""
    sources: list[str]
    """The schemes of the sources that models and datasets may be fetched from; empty if the operator allows none."""
    destinations: list[str]
    """The schemes of the destinations that artifacts may be copied to; empty if the operator allows none."""
    spec_schema: dict[str, Any]
    """The JSON Schema of a spec."""
    limits: ServiceLimits
    """The limits of this service."""
    versions: dict[str, str]
    """The versions of quantd and of the packages that it uses, by name."""


class VersionOut(BaseModel):
    """The version of this service."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    version: str
    """The version of quantd (semantic versioning)."""
    api: Literal["v1"]
    """The version of the API, the first part of its paths."""


@router.get("/capabilities", summary="Describe this service", response_description="The capabilities of this service.")
def get_capabilities(context: Ctx) -> Capabilities:
    """List bits, grids, clipping methods, distributions, presets, limits and versions, with the spec's JSON Schema."""
    settings = context.settings
    places = {"sources": settings.sources.schemes, "destinations": settings.destinations.schemes}
    limits = settings.model_dump(include=LIMITS)
    versions = {name: installed for name in VERSIONS if (installed := _installed_version(name))}
    return Capabilities.model_validate({**capabilities(), **places, "limits": limits, "versions": versions})


@router.get("/version", summary="Show the version", response_description="The version of this service.")
def get_version(_: Ctx) -> VersionOut:
    """Show the version of quantd and of its API."""
    return VersionOut(version=quantd_version(), api="v1")


def quantd_version() -> str:
    """Return the version of quantd."""
    return version("quantd")


def _installed_version(name: str) -> str | None:
    """Return the version of a package; None for one that only workers have."""
    try:
        return version(name)
    except PackageNotFoundError:
        return None
