"""The locations that requests name, checked before anything is stored."""

from jobs.errors import BadRequest, RemoteNotAllowed
from jobs.remote.locations import Location, Role, check_allowed, parse_location
from jobs.remote.rules import Rules
from quant.errors import FieldError
from service.context import Context


def usable_location(context: Context, url: str, credentials: str | None, role: Role) -> Location:
    """Return the location of a source or destination that the service can use.

    Raises:
        BadRequest: it is no location, or needs credentials.
        RemoteNotAllowed: the operator does not allow it.
    """
    settings = context.settings
    rules: Rules = settings.sources if role == "source" else settings.destinations
    location = parse_location(url, role)
    check_allowed(location, rules, role)
    if location.scheme == "mlflow" and settings.mlflow_url is None:
        raise RemoteNotAllowed("no MLflow server is set up here; accepted: another scheme, or QUANTD_MLFLOW_URL")
    if location.scheme == "s3" and credentials is None:
        pointer = "/credentials" if role == "source" else "/destination/credentials"
        detail = "an S3 location needs credentials; accepted: the name of an S3 key that the operator has set up"
        raise BadRequest(detail, [FieldError(pointer, detail)])
    return location
