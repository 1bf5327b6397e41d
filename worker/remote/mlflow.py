"""Files of an MLflow tracking server: registered models as sources, runs as destinations.

The server must serve artifacts itself (`mlflow server --serve-artifacts`, its default): then neither the client library
nor the credentials of its artifact store are needed.
"""

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from jobs.errors import RemoteFailed, RemoteNotAllowed
from jobs.remote.locations import Location
from worker.remote.http import Target, read_json

API = "/api/2.0/mlflow"
ARTIFACTS = "/api/2.0/mlflow-artifacts/artifacts"
SERVED, RUNS = "mlflow-artifacts:", "runs:/"
SUFFIXES = (".onnx", ".pt", ".zip", ".tar", ".tar.gz", ".tgz", ".npz", ".npy")
MOST_FOLDERS = 32
"""The most folders of a model version that are searched for its file."""


async def model_target(location: Location, server: Target) -> Target:
    """Return the request that downloads a file of a registered model's version.

    Without a path, the version must have a single file of a format that is accepted.

    Raises:
        RemoteFailed: the server does not know the version, or it has no single file.
        RemoteNotAllowed: its files are not served by the tracking server.
    """
    version, _, file = location.path.partition("/")
    answer = await _get(server, f"{API}/model-versions/get-download-uri", name=location.place, version=version)
    folder = _served(await _resolved(server, str(answer.get("artifact_uri"))), location)
    if not file:
        files = [path for path in await _files(server, folder) if path.endswith(SUFFIXES)]
        if len(files) != 1:
            listed = ", ".join(files[:5]) or "none"
            raise RemoteFailed(f"{location.shown} has not one model file but {listed}; accepted: {location.shown}/FILE")
        file = files[0]
    return Target(_artifact(server, f"{folder}/{file}"), server.headers, server.hosts)


async def run_target(location: Location, name: str, server: Target) -> Target:
    """Return the request that stores an artifact in a run, in the folder that the location names.

    Raises:
        RemoteFailed: the server does not know the run.
        RemoteNotAllowed: its artifacts are not served by the tracking server.
    """
    run, _, folder = location.path.partition("/")
    root = _served(await _folder_of_run(server, run), location)
    path = "/".join(part for part in (root, folder.strip("/"), name) if part)
    return Target(_artifact(server, path), server.headers, server.hosts)


async def _resolved(server: Target, uri: str) -> str:
    """Return the URI of the folder that a model version names; it may name a folder of a run."""
    if not uri.startswith(RUNS):
        return uri
    run, _, folder = uri.removeprefix(RUNS).partition("/")
    return f"{await _folder_of_run(server, run)}/{folder}"


async def _folder_of_run(server: Target, run: str) -> str:
    answer = await _get(server, f"{API}/runs/get", run_id=run)
    return str(_mapping(_mapping(answer.get("run")).get("info")).get("artifact_uri"))


async def _files(server: Target, root: str) -> list[str]:
    """Return the paths of the files below a folder, relative to it."""
    files: list[str] = []
    folders = [""]
    for _ in range(MOST_FOLDERS):
        if not folders:
            break
        folder = folders.pop()
        answer = await _get(server, ARTIFACTS, path=f"{root}/{folder}".rstrip("/"))
        entries = answer.get("files")
        for entry in map(_mapping, entries if isinstance(entries, list) else ()):
            path = "/".join(part for part in (folder, str(entry.get("path")).rsplit("/", 1)[-1]) if part)
            (folders if entry.get("is_dir") else files).append(path)
    return files


async def _get(server: Target, endpoint: str, **params: str) -> Mapping[str, Any]:
    return _mapping(await read_json(Target(server.url + endpoint, server.headers, server.hosts), params))


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _served(uri: str, location: Location) -> str:
    """Return the folder of artifacts that the server serves; `uri` is a URI such as `mlflow-artifacts:/1/2/artifacts`.

    Raises:
        RemoteNotAllowed: the artifacts are elsewhere.
    """
    if not uri.startswith(SERVED):
        raise RemoteNotAllowed(
            f"the files of {location.shown} are in another store ({uri.partition(':')[0]}); accepted: a tracking "
            "server that serves artifacts"
        )
    path = uri.removeprefix(SERVED)
    return (path.lstrip("/").partition("/")[2] if path.startswith("//") else path).strip("/")


def _artifact(server: Target, path: str) -> str:
    return f"{server.url}{ARTIFACTS}/{quote(path)}"
