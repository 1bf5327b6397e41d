"""Files of an MLflow server; the answers were recorded from MLflow 3.18."""

import asyncio
import json

import pytest

from jobs.errors import RemoteFailed, RemoteNotAllowed
from jobs.remote.locations import parse_location
from jobs.settings import Settings
from tests.remote import serving
from worker.remote.targets import Resolver

API = "api/2.0/mlflow"
LOGGED = "mlflow-artifacts:/0/models/m-67572fe2d95444218a761f334236d4f9/artifacts"
RUN = {"info": {"artifact_uri": "mlflow-artifacts:/0/8d180a4029cf41fcbbf15ac7f5b7ec42/artifacts"}}
MLMODEL = {"path": "MLmodel", "is_dir": False, "file_size": 5}
ONNX = {"path": "model.onnx", "is_dir": False, "file_size": 254717}


@pytest.fixture
def server():
    with serving() as running:
        running.answer = lambda path, value: running.files.update({f"{API}{path}": json.dumps(value).encode()})
        running.answer("/model-versions/get-download-uri", {"artifact_uri": LOGGED})
        running.answer("/runs/get", {"run": RUN})
        running.answer("-artifacts/artifacts", {"files": [MLMODEL, ONNX]})
        yield running


def url_of(server, text, name=None):
    settings = Settings(mlflow_url=server.url)
    resolver = Resolver(settings, settings.sources)
    location = parse_location(text, "destination" if name else "source")
    flow = resolver.destination(location, name, None) if name else resolver.source(location, None)
    return asyncio.run(flow).url.removeprefix(f"{server.url}/{API}-artifacts/artifacts/")


def test_the_model_file_of_a_version_is_found(server):
    folder = LOGGED.removeprefix("mlflow-artifacts:/")
    assert url_of(server, "mlflow:/digits/3") == f"{folder}/model.onnx"
    assert url_of(server, "mlflow:/digits/3/a b.onnx") == f"{folder}/a%20b.onnx"
    server.answer("/model-versions/get-download-uri", {"artifact_uri": "runs:/8d180a4029cf41fcbbf15ac7f5b7ec42/net"})
    assert url_of(server, "mlflow:/digits/1") == "0/8d180a4029cf41fcbbf15ac7f5b7ec42/artifacts/net/model.onnx"


def test_an_artifact_goes_to_a_folder_of_a_run(server):
    url = url_of(server, "mlflow:/runs/8d180a4029cf41fcbbf15ac7f5b7ec42/int8", "report.json")
    assert url == "0/8d180a4029cf41fcbbf15ac7f5b7ec42/artifacts/int8/report.json"


def test_a_version_without_a_single_model_file_is_refused(server):
    server.answer("-artifacts/artifacts", {"files": [MLMODEL]})
    with pytest.raises(RemoteFailed, match="accepted: mlflow:/digits/3/FILE"):
        url_of(server, "mlflow:/digits/3")


@pytest.mark.parametrize("uri", ["file:///etc", "s3://bucket/x", "http://169.254.169.254/", None])
def test_files_in_another_store_are_not_fetched(server, uri):
    server.answer("/model-versions/get-download-uri", {"artifact_uri": uri})
    with pytest.raises(RemoteNotAllowed, match="another store"):
        url_of(server, "mlflow:/digits/3")


@pytest.mark.parametrize("answer", [[], {}, {"artifact_uri": LOGGED, "files": 3}])
def test_a_server_that_answers_otherwise_is_refused(server, answer):
    server.answer("/model-versions/get-download-uri", answer)
    server.answer("-artifacts/artifacts", answer)
    with pytest.raises((RemoteFailed, RemoteNotAllowed)):
        url_of(server, "mlflow:/digits/3")
