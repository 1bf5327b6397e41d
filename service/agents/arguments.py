"""The arguments of the tools: what the API accepts, and how long and how much to answer."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from jobs.remote.locations import LONGEST
from service.jobs.schemas import JobIn
from service.plans.schemas import PlanIn
from service.sources.schemas import CredentialsName

MAX_WAIT_S = 50
"""The longest wait of a call; many clients give up after a minute."""
File = Annotated[str, StringConstraints(max_length=LONGEST)]
"""The id of an upload, or a location."""


class Arguments(BaseModel):
    """The base of arguments: unknown ones are refused."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)


class PlanArguments(PlanIn):
    """Arguments of `plan`."""

    model: File
    """The id of an uploaded model, or a location to fetch it from, such as `https://host/model.onnx`."""
    credentials: CredentialsName | None = None
    """The name of the operator's credentials for the location, which `s3://` needs."""
    wait_s: int = Field(default=30, ge=0, le=MAX_WAIT_S)
    """Seconds to wait for the plan, which is ready in seconds."""
    layers: int = Field(default=10, ge=0, le=100)
    """The most layers to list, those with the lowest SQNR of their weights first."""


class QuantizeArguments(JobIn):
    """Arguments of `quantize`."""

    model: File
    """The id of an uploaded model, or a location to fetch it from, such as `https://host/model.onnx`."""
    calibration: File | None = None
    """The id of an uploaded dataset for calibration, or a location."""
    evaluation: File | None = None
    """The id of an uploaded dataset for evaluation, or a location."""
    credentials: CredentialsName | None = None
    """The name of the operator's credentials for locations, which `s3://` needs."""
    wait_s: int = Field(default=0, ge=0, le=MAX_WAIT_S)
    """Seconds to wait for the end of the job."""
    idempotency_key: str | None = Field(default=None, max_length=255)
    """A key for safe retries: the same key and arguments return the job that was submitted first."""
    rerun: bool = False
    """Run the job even if the result of an equal job is stored."""


class JobArguments(Arguments):
    """Arguments of `get_job`."""

    job: str
    """The id of a job."""
    wait_s: int = Field(default=0, ge=0, le=MAX_WAIT_S)
    """Seconds to wait for the end of the job."""


class ReportArguments(Arguments):
    """Arguments of `get_report`."""

    job: str
    """The id of a job that succeeded."""
    layers: int = Field(default=10, ge=0, le=100)
    """The most layers to list, those with the largest share of the error first."""


class CompareArguments(Arguments):
    """Arguments of `compare`."""

    baseline: str
    """The id of the job to compare with."""
    job: str
    """The id of the other job."""
    layers: int = Field(default=10, ge=0, le=100)
    """The most layers to list, those that changed most first."""
