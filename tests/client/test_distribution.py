"""The distribution of the client: its wheel, and its version, which is that of the service."""

import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

ROOT = Path(__file__).parents[2]


def project(path):
    return tomllib.loads((ROOT / path).read_text())["project"]


def test_the_service_has_the_version_of_the_client_and_requires_it():
    client, server = project("client/pyproject.toml"), project("pyproject.toml")
    assert (client["name"], server["name"]) == ("quantd", "quantd-server")
    assert client["version"] == server["version"]
    assert f"quantd=={client['version']}" in server["dependencies"]


def test_the_wheel_holds_the_package_its_types_and_its_tables_and_nothing_else(tmp_path):
    source = tmp_path / "source"
    shutil.copytree(ROOT / "client", source, ignore=shutil.ignore_patterns("__pycache__", "build", "*.egg-info"))
    build = "import sys; from setuptools.build_meta import build_wheel; build_wheel(sys.argv[1])"
    subprocess.run([sys.executable, "-c", build, str(tmp_path)], cwd=source, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    packed = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    assert packed == {str(path.relative_to(source)) for path in (source / "quantd").rglob("*") if path.is_file()}
    assert {"quantd/py.typed", "quantd/figures.json"} <= packed
