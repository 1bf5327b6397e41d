"""Static assets: only packaged files, with safe types and caching by digest."""

import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import httpx
import pytest

from service.pages.assets import ASSETS, IMMUTABLE, static

ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize(
    "path",
    [
        "app.py", "../app.py", "..%2fapp.py", "%2e%2e/app.py", "vendor/../../guard.py", "..%5capp.py",
        "%2fetc%2fpasswd", "", "vendor", "vendor/", "app.css%00.js", "APP.CSS", "vendor/README.md",
        "vendor/swagger-ui/LICENSE",
    ],
)  # fmt: skip
def test_nothing_but_a_packaged_asset_is_served(keyed, path):
    assert httpx.get(f"{keyed.url}/static/{path}").status_code in (401, 404)


@pytest.mark.parametrize("path", sorted(ASSETS))
def test_an_asset_is_served_to_everybody_with_its_type(keyed, path):
    answer = httpx.get(keyed.url + static(path))
    assert answer.status_code == 200
    assert answer.headers["content-type"] == ASSETS[path].media_type
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "'none'" in answer.headers["content-security-policy"]
    assert answer.content == ASSETS[path].data


def test_a_url_with_the_digest_is_kept_and_any_other_is_revalidated(keyed):
    answers = [httpx.get(keyed.url + url) for url in (static("app.css"), "/static/app.css", "/static/app.css?v=0")]
    assert [answer.headers["cache-control"] for answer in answers] == [IMMUTABLE, "no-cache", "no-cache"]
    known = httpx.get(f"{keyed.url}/static/app.css", headers={"If-None-Match": answers[1].headers["etag"]})
    assert (known.status_code, known.content) == (304, b"")


def test_a_missing_asset_is_found_when_a_page_is_rendered():
    with pytest.raises(KeyError):
        static("no.css")


def test_no_asset_names_another_host():
    for path, asset in ASSETS.items():
        hosts = set(re.findall(rb"https?://([\w.-]+)", asset.data)) - {b"www.w3.org"}  # the name of SVG, not an address
        assert path.startswith("vendor/") or not hosts, path


def test_every_vendored_package_is_listed_with_its_version_and_licence():
    vendor = ROOT / "service" / "static" / "vendor"
    lines = dict(
        re.findall(r"^\| `([\w-]+)/` \| [\w.-]+ (\| \d+\.\d+\.\d+ \| \S+)", (vendor / "README.md").read_text(), re.M)
    )
    folders = {path.name: path for path in vendor.iterdir() if path.is_dir()}
    assert set(lines) == set(folders)
    assert all((folder / "LICENSE").exists() for folder in folders.values())


def test_a_wheel_holds_every_asset_and_template(tmp_path):
    source = tmp_path / "source"
    for package in ("service", "jobs", "quant", "worker"):
        shutil.copytree(ROOT / package, source / package, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "LICENSE"):
        shutil.copy(ROOT / name, source)
    build = "import sys; from setuptools.build_meta import build_wheel; build_wheel(sys.argv[1])"
    subprocess.run([sys.executable, "-c", build, str(tmp_path)], cwd=source, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    packed = set(zipfile.ZipFile(wheel).namelist())
    folders = [source / "service" / name for name in ("static", "templates")]
    files = {str(path.relative_to(source)) for folder in folders for path in folder.rglob("*") if path.is_file()}
    assert "service/static/vendor/swagger-ui/LICENSE" in files
    assert files <= packed
