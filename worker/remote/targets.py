"""The HTTP requests that a location stands for."""

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Literal
from urllib.parse import quote

import httpx
import obstore
from obstore.store import S3Store

from jobs.errors import CredentialsRefused, RemoteNotAllowed
from jobs.remote.locations import Location
from jobs.remote.rules import Rules
from jobs.settings import Settings
from worker.remote.credentials import Credentials, S3Key
from worker.remote.http import Target
from worker.remote.mlflow import model_target, run_target

if TYPE_CHECKING:
    from obstore.store import S3Credential

SIGNED_FOR = timedelta(hours=12)
HUB_HOSTS = ("*.hf.co", "*.huggingface.co")
"""The hosts to which the public hub redirects downloads."""


@dataclass(frozen=True)
class Resolver:
    """The settings by which locations become requests."""

    settings: Settings
    rules: Rules

    async def source(self, location: Location, credentials: Credentials | None) -> Target:
        """Return the request that downloads a source.

        Raises:
            CredentialsRefused: the source needs other credentials.
            RemoteFailed: the registry of the source does not name a file.
            RemoteNotAllowed: the registry names a file elsewhere.
        """
        if location.scheme == "s3":
            return s3_target(location, location.path, "GET", credentials)
        if location.scheme == "hf":
            return self._hub_file(location, credentials)
        if location.scheme == "mlflow":
            return await model_target(location, self._tracking(credentials))
        return Target(location.url, _headers(credentials), self.rules.hosts)

    async def destination(self, location: Location, name: str, credentials: Credentials | None) -> Target:
        """Return the request that stores an artifact by its name.

        Raises:
            CredentialsRefused: the destination needs other credentials.
            RemoteFailed: the tracking server does not know the run.
        """
        if location.scheme == "s3":
            folder = location.path.rstrip("/")
            return s3_target(location, f"{folder}/{name}" if folder else name, "PUT", credentials)
        if location.scheme == "mlflow":
            return await run_target(location, name, self._tracking(credentials))
        url = httpx.URL(location.url)
        if not url.query:  # a URL with a query is that of a single object
            url = url.copy_with(path=f"{url.path.rstrip('/')}/{name}")
        return Target(str(url), _headers(credentials), self.rules.hosts)

    def _hub_file(self, location: Location, credentials: Credentials | None) -> Target:
        repository, _, file = location.path.partition("/")
        name, _, revision = repository.partition("@")
        endpoint = self.settings.hf_endpoint.rstrip("/")
        url = f"{endpoint}/{location.place}/{name}/resolve/{quote(revision, safe='')}/{quote(file)}"
        return Target(url, _headers(credentials), (httpx.URL(endpoint).host, *HUB_HOSTS))

    def _tracking(self, credentials: Credentials | None) -> Target:
        if self.settings.mlflow_url is None:
            raise RemoteNotAllowed("no MLflow server is set up on this worker; accepted: another scheme")
        url = self.settings.mlflow_url.rstrip("/")
        return Target(url, _headers(credentials), (httpx.URL(url).host,))


def s3_target(location: Location, key: str, method: Literal["GET", "PUT"], credentials: Credentials | None) -> Target:
    """Return a presigned request for an object in the store that the credentials name.

    Raises:
        CredentialsRefused: there is no access key.
    """
    if not isinstance(credentials, S3Key):
        raise CredentialsRefused(
            f"{location.shown} needs an access key; accepted: `credentials` with the name of an S3 key, or the "
            "https URL of a public object"
        )
    endpoint = credentials.endpoint or f"https://s3.{credentials.region}.amazonaws.com"
    token = credentials.session_token
    access: S3Credential = {
        "access_key_id": credentials.access_key_id,
        "secret_access_key": credentials.secret_access_key.get_secret_value(),
        "token": token.get_secret_value() if token else None,
        "expires_at": None,
    }
    store = S3Store(
        location.place,
        endpoint=endpoint,
        region=credentials.region,
        virtual_hosted_style_request=False,
        client_options={"allow_http": True},
        credential_provider=lambda: access,  # nothing is taken from the worker's own AWS_... variables
    )
    return Target(str(obstore.sign(store, method, key, SIGNED_FOR)), hosts=(httpx.URL(endpoint).host,))


def _headers(credentials: Credentials | None) -> dict[str, str]:
    return credentials.headers() if credentials is not None else {}
