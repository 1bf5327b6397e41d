"""The credentials that the operator stores for requests to name. Only workers read them; no record has them."""

import base64
from pathlib import Path
from typing import Annotated, NoReturn

import yaml
from pydantic import BaseModel, ConfigDict, Field, SecretStr, TypeAdapter, ValidationError, field_validator

from jobs.errors import CredentialsRefused
from jobs.remote.locations import Location
from jobs.remote.rules import parse_rules


class _Credentials(BaseModel):
    """Credentials with the places that they are sent to."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    use_for: tuple[str, ...] = Field(min_length=1)
    """Rules such as `https://host` or `s3://bucket`: the secret is sent nowhere else."""
    tenants: tuple[str, ...] | None = None
    """The tenants that may name the credentials; all of them if null."""

    @field_validator("use_for")
    @classmethod
    def _check_rules(cls, rules: tuple[str, ...]) -> tuple[str, ...]:
        parse_rules(",".join(rules))
        return rules

    def suit(self, location: Location) -> bool:
        """Return True if the credentials may be sent to this location."""
        return parse_rules(",".join(self.use_for)).allow(location.rule_scheme, location.place)

    def headers(self) -> dict[str, str]:
        """Return the headers that carry the secret to an HTTP server."""
        return {}


class Token(_Credentials):
    """A bearer token, such as that of a model hub."""

    token: SecretStr

    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token.get_secret_value()}"}


class Login(_Credentials):
    """A user name and a password for HTTP Basic authentication."""

    username: str
    password: SecretStr

    def headers(self) -> dict[str, str]:
        login = f"{self.username}:{self.password.get_secret_value()}"
        return {"Authorization": f"Basic {base64.b64encode(login.encode()).decode()}"}


class S3Key(_Credentials):
    """An access key of an S3 store, with the store's address."""

    access_key_id: str
    secret_access_key: SecretStr
    session_token: SecretStr | None = None
    region: str = "us-east-1"
    endpoint: Annotated[str, Field(pattern=r"^https?://")] | None = None
    """The address of the store; that of AWS in the region if null."""


Credentials = Token | Login | S3Key
_FILE: TypeAdapter[dict[str, Credentials]] = TypeAdapter(dict[str, Credentials])


class CredentialStore:
    """The credentials of a YAML file: a mapping from names to credentials.

    The file is read for each use, so that a secret can be replaced while workers run.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path

    def find(self, name: str | None, location: Location, tenant: str) -> Credentials | None:
        """Return the credentials with this name for a location; None if no name is given.

        Raises:
            CredentialsRefused: there are none, or they are for other places or other tenants.
        """
        if name is None:
            return None
        credentials = self._read().get(name)
        if credentials is None or (credentials.tenants is not None and tenant not in credentials.tenants):
            _refuse(f"there are no credentials {name!r}; accepted: a name that the operator of this service has set up")
        if not credentials.suit(location):
            _refuse(f"the credentials {name!r} are not for {location.shown}; accepted: those set up for it")
        return credentials

    def _read(self) -> dict[str, Credentials]:
        if self._path is None:
            return {}
        try:
            return _FILE.validate_python(yaml.safe_load(self._path.read_text()) or {})
        except (OSError, ValueError, yaml.YAMLError) as error:
            _refuse(f"the operator's file of credentials cannot be used ({_reason(error)})")


def _reason(error: Exception) -> str:
    """Return the reason without a value of the file, which may be a secret."""
    if isinstance(error, ValidationError):
        faults = error.errors(include_input=False, include_url=False)[:5]
        return ", ".join(f"{'.'.join(map(str, fault['loc']))}: {fault['type']}" for fault in faults)
    return type(error).__name__


def _refuse(detail: str) -> NoReturn:
    raise CredentialsRefused(detail)
