"""Settings from the environment (prefix QUANTD_), with defaults for the embedded service."""

from pathlib import Path
from typing import Any, Literal

from pydantic import Field, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from jobs.remote.rules import Rules, parse_rules


def _store_in(settings: dict[str, Any]) -> str:
    return (Path(settings["state_dir"]) / "store").absolute().as_uri()


def _job_memory(settings: dict[str, Any]) -> int:
    return int(settings["job_memory_bytes"])


class Settings(BaseSettings):
    """The settings of a deployment; sizes in bytes, times in seconds."""

    model_config = SettingsConfigDict(env_prefix="QUANTD_", frozen=True, use_attribute_docstrings=True)

    state_dir: Path = Path(".quantd")
    """Folder of the embedded service's records and blobs."""
    redis_url: str = "redis://127.0.0.1:6379/0"
    """Redis for records and queue: one server (or one with replicas), not a cluster, with the append-only file synced
    on every write."""
    store_url: str = Field(default_factory=_store_in, json_schema_extra={"default": "`store` in the state folder"})
    """Object store for models, datasets, artifacts and archived records: `file:///folder` or `s3://bucket/prefix`. The
    credentials of an S3 store are read from the `AWS_...` variables."""
    download_endpoint: str | None = Field(default=None, pattern=r"^https?://")
    """Address of the S3 store as callers reach it; if it is set, callers download models from it and upload parts to it
    by presigned URLs."""
    auth: Literal["off", "required"] = "off"
    """`required` demands an API key with every request; `off` is refused on any address but loopback."""
    max_model_bytes: int = Field(default=4 * 2**30, gt=0)
    """Size of the largest model that may be uploaded."""
    max_dataset_bytes: int = Field(default=4 * 2**30, gt=0)
    """Size of the largest dataset that may be uploaded."""
    job_timeout_s: float = Field(default=3600, gt=0)
    """Time limit of a job."""
    plan_timeout_s: float = Field(default=120, gt=0)
    """Time limit of a plan; its memory is limited like that of a job."""
    job_memory_bytes: int = Field(default=8 * 2**30, gt=0)
    """Memory limit of a job: address space beyond that of the libraries."""
    job_disk_bytes: int = Field(
        default_factory=_job_memory, gt=0, json_schema_extra={"default": "as `QUANTD_JOB_MEMORY_BYTES`"}
    )
    """Limit of the files that a job writes. Where machine or container have memory for both limits, the files are in
    memory and the limit is exact. Else they are in `TMPDIR` and are counted twice a second."""
    key_rate: int = Field(default=600, gt=0)
    """Requests per minute that an API key may send, if it was created without a limit of its own."""
    key_stored_bytes: int = Field(default=100 * 2**30, gt=0)
    """Bytes that an API key may keep stored, if it was created without a limit of its own."""
    key_open_jobs: int = Field(default=1000, gt=0)
    """Jobs and plans that an API key may have open at a time, if it was created without a limit of its own."""
    session_idle_s: float = Field(default=12 * 3600, gt=0)
    """A person who signed in to the pages is signed out after this long without a request, and after 7 days in any
    case."""
    retention_days: float = Field(default=30, gt=0)
    """Jobs expire this many days after their end, models and datasets after their last use; `inf` keeps everything."""
    webhook_allow_hosts: str = "*"
    """Host names and patterns, separated by commas; a host whose full name is in the list may be private and use plain
    http, others must be public and use https."""
    source_allow: str = ""
    """Sources that models and datasets may be fetched from, separated by commas: `https://host`, `http://host`,
    `s3://bucket`, `hf://owner`, `mlflow:/name`, or a pattern such as `https://*.example.org`. A host whose full name is
    in the list may be private. Nothing is fetched by default."""
    destination_allow: str = ""
    """Destinations that artifacts may be copied to, written like `QUANTD_SOURCE_ALLOW`; `mlflow:/runs` for MLflow."""
    credentials_file: Path | None = None
    """YAML file with the credentials that requests name. Only workers read it."""
    fetch_timeout_s: float = Field(default=3600, gt=0)
    """Time limit of the fetch of a source, and of the copy of an artifact."""
    hf_endpoint: str = Field(default="https://huggingface.co", pattern=r"^https?://")
    """Address of the model hub of `hf:` sources."""
    mlflow_url: str | None = Field(default=None, pattern=r"^https?://")
    """Address of the MLflow tracking server of `mlflow:` sources and destinations."""
    lease_s: float = Field(default=60, gt=0)
    """A worker without a heartbeat for this long loses its job."""
    otel_exporter_otlp_endpoint: str | None = None
    """Receiver of traces, such as `http://host:4318`; none are sent without it."""
    worker_metrics: str | None = Field(default=None, pattern=r"^\S+:\d+$")
    """`host:port` at which a worker serves Prometheus metrics."""
    audit_log: str | None = None
    """File of the audit log, or `stderr`: one JSON line for each request and command that changes something."""
    log_format: Literal["json", "text"] = "json"
    """Format of the log lines of gateway and workers."""

    @field_validator("source_allow", "destination_allow")
    @classmethod
    def _check_rules(cls, text: str) -> str:
        parse_rules(text)
        return text

    @property
    def sources(self) -> Rules:
        """The allowed sources."""
        return parse_rules(self.source_allow)

    @property
    def destinations(self) -> Rules:
        """The allowed destinations."""
        return parse_rules(self.destination_allow)

    @property
    def webhook_hosts(self) -> tuple[str, ...]:
        """The allowed hosts of webhooks, in lower case."""
        return tuple(host.strip().lower() for host in self.webhook_allow_hosts.split(",") if host.strip())
