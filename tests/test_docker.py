"""The container files pass their linters; without a Docker engine they cannot be built or run here."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from benchmarks.image_size import stages, targets

ROOT = Path(__file__).parent.parent
BIN = Path(sys.executable).parent


def test_the_dockerfile_passes_its_linter():
    result = subprocess.run([BIN / "hadolint", ROOT / "Dockerfile"], capture_output=True, text=True)
    assert result.returncode == 0, result.stdout


def test_the_compose_file_fits_its_schema():
    command = [BIN / "check-jsonschema", "--builtin-schema", "vendor.compose-spec", ROOT / "docker-compose.yml"]
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode == 0, result.stdout


def test_every_service_has_limits_and_a_health_check():
    services = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
    assert {"gateway", "worker", "valkey", "object-store"} <= set(services)
    for name, service in services.items():
        assert "mem_limit" in service, name
        assert "pids_limit" in service, name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        if service.get("restart") == "unless-stopped" and "build" not in service:  # those have it in the image
            assert "healthcheck" in service, name
    built = {service["build"]["target"] for service in services.values() if "build" in service}
    assert built == {"gateway", "worker"}


def test_every_target_has_its_packages_a_health_check_and_another_user_than_root():
    text = stages()
    for package in ("quant", "jobs", "worker", "service", "client"):
        assert f"COPY {package} /{package}" in text["source"]
    assert list(targets()) == ["gateway", "worker", "trial"]
    assert list(text)[-1] == "trial"  # so `docker build .` builds it
    assert "\nUSER 10001\n" in text["base"]
    for name in targets():
        assert re.match(r"FROM base AS", text[name])
        assert "\nHEALTHCHECK " in text[name]
        assert "USER" not in text[name]
    assert targets()["gateway"].isdisjoint({"worker", "up", "torchscript", "data"})
    assert {"worker", "torchscript"} <= targets()["worker"]


def test_every_base_is_a_build_argument():
    text = (ROOT / "Dockerfile").read_text()
    bases = set(re.findall(r"^FROM (\S+)", text, re.M)) - set(stages())
    assert bases == {"scratch", "${PYTHON_IMAGE}"}


@pytest.mark.parametrize("extra", ["agents", "telemetry", "worker", "up", "torchscript", "data"])
def test_the_dockerfile_installs_extras_that_exist(extra):
    assert any(extra in extras for extras in targets().values())
    assert f"\n{extra} = [" in (ROOT / "pyproject.toml").read_text()
