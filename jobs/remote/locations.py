"""The locations that callers name as the source of a model or as the destination of artifacts."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, NoReturn
from urllib.parse import unquote, urlsplit

import httpx

from jobs.errors import BadRequest, RemoteNotAllowed
from jobs.remote.addresses import AddressRefused, check_url, parse_url
from jobs.remote.rules import Rules
from quant.errors import FieldError

Role = Literal["source", "destination"]
Scheme = Literal["https", "s3", "hf", "mlflow"]
LONGEST = 4096
"""The most characters of a location."""
ACCEPTED = {
    "https": "https://host/path",
    "s3": "s3://bucket/key",
    "hf": "hf://owner/name/file, or hf://owner/name@revision/file",
    "mlflow": "mlflow:/name/version, or mlflow:/name/version/file",
}
ACCEPTED_DESTINATION = {**ACCEPTED, "s3": "s3://bucket/prefix", "mlflow": "mlflow:/runs/RUN_ID, or a folder below it"}
_NAME = r"[A-Za-z0-9][\w.-]*"
_HF = re.compile(rf"(?P<owner>{_NAME})/(?P<name>{_NAME})(@(?P<revision>[\w.-]+))?/(?P<file>.+)")


@dataclass(frozen=True)
class Location:
    """A location without secrets, except for the query of an https URL.

    Attributes:
        scheme: the way to it; `https` stands for http, too.
        place: the part that the operator's rules name: a host, a bucket, an owner or a registered model.
        path: the rest: the key in the bucket, `name@revision/file` of the hub, `version` or `version/file` of a model.
        url: the location as the caller wrote it.
    """

    scheme: Scheme
    place: str
    path: str
    url: str

    @property
    def rule_scheme(self) -> str:
        """The scheme as the operator's rules name it: `http` is not `https` there."""
        return "http" if self.url.lower().startswith("http:") else self.scheme

    @property
    def shown(self) -> str:
        """The location without the query and fragment of a URL, which may hold a signature."""
        return re.split(r"[?#]", self.url)[0] if self.scheme == "https" else self.url

    @property
    def is_object(self) -> bool:
        """True for a URL with a query: it is that of a single object, such as a presigned one."""
        return self.scheme == "https" and bool(httpx.URL(self.url).query)

    @property
    def filename(self) -> str | None:
        """The last part of its path as the name of a file; None if it names none."""
        if self.scheme == "mlflow" and "/" not in self.path:
            return f"{self.place}-{self.path}"
        last = unquote(re.split(r"[/\\]", self.path)[-1])
        return (
            "".join(character for character in last if character.isprintable() and character not in "/\\")[:255] or None
        )


def parse_location(text: str, role: Role) -> Location:
    """Return the location that a caller wrote.

    Raises:
        BadRequest: it is none.
    """
    forms = ACCEPTED if role == "source" else ACCEPTED_DESTINATION
    scheme, _, rest = text.partition(":")
    scheme = scheme.lower()
    parse = _PARSERS.get((scheme, role))
    location = parse(text, rest.lstrip("/")) if parse and len(text) <= LONGEST and text.isprintable() else None
    if location is None:
        accepted = forms.get("https" if scheme == "http" else scheme) or "; ".join(
            form for known, form in forms.items() if (known, role) in _PARSERS
        )
        _refuse(BadRequest, f"the {role} is no location; accepted: {accepted}", role)
    return location


def check_allowed(location: Location, rules: Rules, role: Role) -> None:
    """Check a location by the operator's rules, without looking up a host.

    Raises:
        RemoteNotAllowed: no rule allows it, or its URL must not be called.
    """
    if not rules.allow(location.rule_scheme, location.place):
        _refuse(RemoteNotAllowed, f"the {role} {location.shown} is not allowed here; accepted: {rules}", role)
    if location.scheme == "https":
        try:
            check_url(location.url, rules.hosts)
        except AddressRefused as error:
            _refuse(RemoteNotAllowed, f"the {role}'s URL {error}", role)


def _refuse(error: type[BadRequest | RemoteNotAllowed], detail: str, role: Role) -> NoReturn:
    pointer = "/source" if role == "source" else "/destination/url"
    raise error(detail, [FieldError(pointer, detail)])


def _https(text: str, _: str) -> Location | None:
    try:
        url = parse_url(text)
    except AddressRefused:
        return None
    if not url.host or url.userinfo:
        return None
    return Location("https", url.raw_host.decode().lower(), url.path, text)


def _s3(text: str, _: str) -> Location | None:
    parts = urlsplit(text)
    key = text.split("://", 1)[-1].partition("/")[2]
    if not re.fullmatch(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]", parts.netloc) or _climbs(key):
        return None
    return Location("s3", parts.netloc, key, text)


def _s3_object(text: str, rest: str) -> Location | None:
    location = _s3(text, rest)
    return location if location is not None and location.path and not location.path.endswith("/") else None


def _hf(text: str, rest: str) -> Location | None:
    match = _HF.fullmatch(rest)
    if match is None or _climbs(match["file"]):
        return None
    return Location("hf", match["owner"], f"{match['name']}@{match['revision'] or 'main'}/{match['file']}", text)


def _mlflow_model(text: str, rest: str) -> Location | None:
    name, _, path = unquote(rest).partition("/")
    return Location("mlflow", name, path, text) if name and path and not _climbs(path) else None


def _mlflow_run(text: str, rest: str) -> Location | None:
    location = _mlflow_model(text, rest)
    return location if location is not None and location.place == "runs" else None


def _climbs(path: str) -> bool:
    """Return True if a path has empty parts, or parts that lead elsewhere."""
    return any(part in (".", "..") for part in path.split("/")) or "//" in path or "\\" in path


_PARSERS: dict[tuple[str, Role], Callable[[str, str], Location | None]] = {
    ("https", "source"): _https,
    ("http", "source"): _https,
    ("s3", "source"): _s3_object,
    ("hf", "source"): _hf,
    ("mlflow", "source"): _mlflow_model,
    ("https", "destination"): _https,
    ("http", "destination"): _https,
    ("s3", "destination"): _s3,
    ("mlflow", "destination"): _mlflow_run,
}
