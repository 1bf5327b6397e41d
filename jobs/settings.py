"""Settings from the environment (prefix QUANTD_), with defaults for the embedded service."""

from pathlib import Path
from typing import Any, Literal

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


def _store_in(settings: dict[str, Any]) -> str:
    return (Path(settings["state_dir"]) / "store").absolute().as_uri()


def _job_memory(settings: dict[str, Any]) -> int:
    return int(settings["job_memory_bytes"])


class Settings(BaseSettings):
    """The settings of a deployment; sizes in bytes, times in seconds."""

    model_config = SettingsConfigDict(env_prefix="QUANTD_", frozen=True)

    state_dir: Path = Path(".quantd")
    redis_url: str = "redis://127.0.0.1:6379/0"
    store_url: str = Field(default_factory=_store_in)
    download_endpoint: str | None = Field(
        default=None,
        pattern=r"^https?://",
        description="the S3 store's address as callers reach it: models are then transferred there by presigned URLs",
    )
    auth: Literal["off", "required"] = "off"
    max_model_bytes: int = Field(default=4 * 2**30, gt=0)
    max_dataset_bytes: int = Field(default=4 * 2**30, gt=0)
    job_timeout_s: float = Field(default=3600, gt=0)
    plan_timeout_s: float = Field(default=120, gt=0)
    job_memory_bytes: int = Field(default=8 * 2**30, gt=0)
    job_disk_bytes: int = Field(default_factory=_job_memory, gt=0, description="as `job_memory_bytes` by default")
    key_rate: int = Field(default=600, gt=0, description="requests per minute that an API key may send")
    key_stored_bytes: int = Field(default=100 * 2**30, gt=0, description="bytes that an API key may keep stored")
    key_open_jobs: int = Field(default=1000, gt=0, description="jobs that an API key may have open at a time")
    session_idle_s: float = Field(default=12 * 3600, gt=0, description="a browser's session ends unused for this long")
    retention_days: float = Field(default=30, gt=0, description="`inf` keeps everything")
    webhook_allow_hosts: str = Field(
        default="*",
        description="names and patterns, separated by commas; only a host named in full may be private or without TLS",
    )
    lease_s: float = Field(default=60, gt=0, description="a worker without a heartbeat for this long loses its job")
    otel_exporter_otlp_endpoint: str | None = Field(
        default=None, description="the collector of traces, as http://host:4318"
    )
    worker_metrics: str | None = Field(default=None, pattern=r"^\S+:\d+$", description="host:port, for Prometheus")
    log_format: Literal["json", "text"] = "json"

    @property
    def webhook_hosts(self) -> tuple[str, ...]:
        """The allowed hosts of webhooks, in lower case."""
        return tuple(host.strip().lower() for host in self.webhook_allow_hosts.split(",") if host.strip())
