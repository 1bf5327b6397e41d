"""The screenshots in docs/images/: `python -m docs.screenshots [--data ../shared/data]`.

A service with API keys runs jobs of real networks on real images. Chromium then opens its pages as a person does, with
the network off. Every picture is reduced to 256 colours.
"""

import argparse
import io
import json
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import httpx
import numpy as np
from PIL import Image
from playwright.sync_api import Browser, Page

from jobs.stack import Stack
from tests.browser.accessibility import PHONE
from tests.browser.chromium import launched
from tests.browser.pdf import printed_image
from tests.browser.steps import sign_in
from tests.browser.visitor import visiting
from tests.command import quantd

EXAMPLE = Path(__file__).parent.parent / "examples" / "digits.onnx"
IMAGES = Path(__file__).parent / "images"
SCREEN = {"width": 1280, "height": 850}
LONG_SCREEN = {"width": 1280, "height": 1500}
SHARP = 1.5
"""Pixels of a picture per pixel of a page."""
CIFAR = {"mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]}
NETWORK = "resnet20_cifar10"
GATES = {"max_size_ratio": 0.2, "max_top1_drop_points": 1.0, "min_output_sqnr_db": 12}
SPECS: dict[str, dict[str, Any]] = {
    "int8": {"preset": "int8", "gates": {"max_size_ratio": 0.35, "min_output_sqnr_db": 25}},
    "strict": {"preset": "int4", "gates": {**GATES, "min_output_sqnr_db": 20}},
    "int4": {"preset": "int4", "gates": GATES},
    "budget": {"preset": "int4", "budget": {"max_size_ratio": 0.17}, "gates": GATES},
}
"""The specs of the jobs, in their order; `budget` is the one whose report is shown."""


def main() -> None:
    """Run the jobs and write every picture."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="the folder of models and images")
    data: Path = parser.parse_args().data
    IMAGES.mkdir(exist_ok=True)
    with ExitStack() as running:
        folder = Path(running.enter_context(tempfile.TemporaryDirectory()))
        stack = running.enter_context(Stack(folder / "state", settings={"QUANTD_AUTH": "required"}))
        created = quantd("keys", "create", "--json", "--state-dir", stack.folder, "--tenant", "vision")
        key = json.loads(created.stdout)["key"]
        headers = {"Authorization": f"Bearer {key}"}
        api = running.enter_context(httpx.Client(base_url=stack.url, headers=headers, timeout=120))
        files = upload(api, data, folder)
        example = {"model": stored(api, "models", EXAMPLE)}
        ended(api, submit(api, example, {"preset": "int8-weights"}, "demo"))
        jobs = {name: ended(api, submit(api, files, spec, name)) for name, spec in SPECS.items()}
        browser = running.enter_context(launched())
        show_report(browser, stack.url, api, jobs["budget"], folder)
        show_pages(browser, stack.url, key, api, jobs, files)


def upload(api: httpx.Client, data: Path, folder: Path) -> dict[str, str]:
    """Upload the network and its data, and return their ids by role."""
    images = np.load(data / "datasets" / "cifar10_calibration.npz")["images"]
    test = np.load(data / "datasets" / "cifar10_test.npz")
    np.savez(folder / "cifar10-train-256.npz", images=images[:256], **CIFAR)
    np.savez(folder / "cifar10-test-1000.npz", images=test["images"][:1000], labels=test["labels"][:1000], **CIFAR)
    paths = {
        "model": data / "models" / f"{NETWORK}.onnx",
        "calibration": folder / "cifar10-train-256.npz",
        "evaluation": folder / "cifar10-test-1000.npz",
    }
    return {role: stored(api, "models" if role == "model" else "datasets", path) for role, path in paths.items()}


def stored(api: httpx.Client, kind: str, path: Path) -> str:
    """Upload a file under its name and return its id."""
    response = api.post(f"/v1/{kind}", content=path.read_bytes(), headers={"X-Filename": path.name})
    return str(response.raise_for_status().json()["id"])


def submit(api: httpx.Client, files: dict[str, str], spec: dict[str, Any], branch: str) -> dict[str, Any]:
    """Submit a job, even an equal one, and return it."""
    body = {**files, "spec": spec, "tags": {"branch": "main" if branch == "int8" else branch}}
    response = api.post("/v1/jobs", json=body, headers={"Cache-Control": "no-cache"})
    return dict(response.raise_for_status().json())


def ended(api: httpx.Client, job: dict[str, Any]) -> dict[str, Any]:
    """Wait for the end of a job and return it.

    Raises:
        RuntimeError: it failed.
    """
    while job["status"] in ("queued", "running"):
        job = api.get(job["links"]["self"], headers={"Prefer": "wait=60"}).json()
    if job["status"] != "succeeded":
        raise RuntimeError(job["error"]["detail"])
    return job


def show_report(browser: Browser, url: str, api: httpx.Client, job: dict[str, Any], folder: Path) -> None:
    """Take the pictures of a downloaded report: light, dark, an open layer, on a phone and on paper."""
    path = folder / "report.html"
    path.write_bytes(api.get(f"/v1/jobs/{job['id']}/report.html").content)
    with opened(browser, url, viewport=LONG_SCREEN, device_scale_factor=SHARP) as page:
        page.goto(path.as_uri())
        save(page.screenshot(), "report-light")
        layer = page.locator("table.layers > tbody").first
        layer.locator("a.name").click()
        save(layer.screenshot(), "report-layer")
        reduce_colours(printed_image(page, folder / "report.pdf", scale=SHARP), "report-print")
    with opened(browser, url, viewport=SCREEN, device_scale_factor=SHARP, color_scheme="dark") as page:
        page.goto(path.as_uri())
        save(page.screenshot(), "report-dark")
    with opened(browser, url, viewport=PHONE, device_scale_factor=SHARP) as page:
        page.goto(path.as_uri())
        save(page.screenshot(), "report-phone")


def show_pages(
    browser: Browser, url: str, key: str, api: httpx.Client, jobs: dict[str, Any], files: dict[str, str]
) -> None:
    """Take the pictures of the pages, in the list with a job that runs."""
    with opened(browser, url, viewport=SCREEN, device_scale_factor=SHARP) as page:
        page.goto("/")
        sign_in(page, key)
        page.goto(f"/jobs/{jobs['strict']['id']}")
        page.locator("iframe").scroll_into_view_if_needed()
        page.frame_locator("iframe").get_by_role("heading", level=1).wait_for()
        page.evaluate("scrollTo(0, 0)")
        save(page.screenshot(), "job")
        page.goto(f"/compare?a={jobs['int8']['id']}&b={jobs['int4']['id']}")
        save(page.screenshot(), "compare")
        page.goto(f"/new?from={jobs['budget']['id']}")
        save(page.screenshot(full_page=True), "new")
        running = submit(api, files, SPECS["budget"], "faster")
        page.goto("/")
        page.get_by_role("row").get_by_text("correcting").wait_for()
        page.wait_for_timeout(1000)  # for some of its progress
        save(page.screenshot(), "jobs")
        ended(api, running)


@contextmanager
def opened(browser: Browser, url: str, **settings: object) -> Iterator[Page]:
    """Yield a page of a new visitor."""
    with visiting(browser, url, **settings) as visitor:
        yield visitor.page


def save(png: bytes, name: str) -> None:
    """Write a screenshot to docs/images/ in 256 colours."""
    with Image.open(io.BytesIO(png)) as image:
        reduce_colours(image, name)


def reduce_colours(image: Image.Image, name: str) -> None:
    """Write an image to docs/images/ in 256 colours."""
    image.convert("RGB").quantize(256, dither=Image.Dither.NONE).save(IMAGES / f"{name}.png", optimize=True)


if __name__ == "__main__":
    main()
