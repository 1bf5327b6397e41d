"""An upload goes on where the connection was lost."""

import numpy as np
import pytest
from playwright.sync_api import expect

from tests.browser.cutting_proxy import CuttingProxy
from tests.browser.visitor import visiting


@pytest.fixture(scope="module")
def large(tmp_path_factory):
    """A dataset of 4 MB."""
    path = tmp_path_factory.mktemp("data") / "large.npz"
    np.savez(path, input=np.zeros((250, 1, 64, 64), np.float32))
    return path


def test_an_upload_goes_on_where_the_connection_was_lost(chromium, served, session, large):
    with (
        CuttingProxy(served.url, limit=1 << 20) as proxy,
        visiting(chromium, proxy.url, storage_state=session) as visitor,
    ):
        offsets = []
        visitor.page.on("request", lambda request: offsets.append(request.headers.get("upload-offset")))
        visitor.page.goto("/new")
        visitor.page.locator("#file-calibration").set_input_files(large)
        message = visitor.page.get_by_role("status").filter(has_text="is uploaded and chosen")
        expect(message).to_have_text("large.npz is uploaded and chosen. 250 samples: input float32 250×1×64×64.")
        assert visitor.page.get_by_label("Calibration data", exact=True).input_value().startswith("dataset_")
        assert proxy.has_cut
        first, second = (int(offset) for offset in offsets if offset is not None)
        assert first == 0
        assert second > 1 << 19
        visitor.expect_problem(r"net::ERR|409 \(Conflict\)")  # Chromium itself may send the first part again
