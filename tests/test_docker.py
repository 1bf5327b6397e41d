"""The container files pass their linters; without a Docker engine they cannot be built or run here."""

import subprocess
import sys
from pathlib import Path

import yaml

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
        if service.get("restart") == "unless-stopped" and name != "gateway":  # its check is in the image
            assert "healthcheck" in service, name


def test_the_image_has_every_package_and_another_user_than_root():
    dockerfile = (ROOT / "Dockerfile").read_text()
    for package in ("quant", "jobs", "worker", "service", "client"):
        assert f"COPY {package} {package}" in dockerfile
    assert "\nUSER 10001\n" in dockerfile
