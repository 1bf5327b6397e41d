"""Settings from the environment (prefix QUANTD_), with defaults for the embedded service."""

from pathlib import Path
from typing import Literal

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class Settings(BaseSettings):
    """Everything that a deployment can set; sizes in bytes, times in seconds."""

    model_config = SettingsConfigDict(env_prefix="QUANTD_", frozen=True)

    redis_url: str = "redis://127.0.0.1:6379/0"
    store_url: str = Field(default_factory=lambda: Path(".quantd/store").absolute().as_uri())
    auth: Literal["off", "required"] = "off"
    max_model_bytes: int = 4 * 2**30
    max_dataset_bytes: int = 4 * 2**30
    job_timeout_s: float = 3600
    job_memory_bytes: int = 8 * 2**30
    log_format: Literal["json", "text"] = "json"
