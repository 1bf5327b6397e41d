"""The container files pass the linters; no engine is at hand to build or run them."""

import subprocess
import sys
from pathlib import Path

import yaml

ROOT = Path(__file__).parent.parent
BIN = Path(sys.executable).parent


def test_the_dockerfile_passes_its_linter():
    done = subprocess.run([BIN / "hadolint", ROOT / "Dockerfile"], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


def test_the_compose_file_fits_its_schema():
    command = [BIN / "check-jsonschema", "--builtin-schema", "vendor.compose-spec", ROOT / "docker-compose.yml"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


def test_every_service_is_limited_and_what_stays_up_is_watched():
    services = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
    assert {"gateway", "worker", "valkey", "object-store"} <= set(services)
    for name, service in services.items():
        assert "mem_limit" in service, name
        assert "pids_limit" in service, name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        if service.get("restart") == "unless-stopped" and name != "gateway":  # the gateway's check is in its image
            assert "healthcheck" in service, name


def test_the_image_has_every_package_and_is_not_roots():
    dockerfile = (ROOT / "Dockerfile").read_text()
    for package in ("quant", "jobs", "worker", "service", "client"):
        assert f"COPY {package} {package}" in dockerfile
    assert "\nUSER 10001\n" in dockerfile
