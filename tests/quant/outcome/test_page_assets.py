"""The script and the styles of the report page, and the policy that allows them."""

import base64
import hashlib
import re

from quant.outcome.page_assets import page_policy, script, script_source, styles


def hash_source(text):
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def test_the_policy_allows_the_script_and_the_styles_by_their_hashes_and_no_request():
    assert script_source() == hash_source(script())
    assert page_policy() == (
        f"default-src 'none'; script-src {hash_source(script())}; style-src {hash_source(styles())}; img-src data:; "
        "form-action 'none'; base-uri 'none'"
    )


def test_neither_can_end_its_element():
    assert not re.search(r"</|<!--", script())
    assert not re.search(r"</|<!--", styles())


def test_they_load_nothing():
    assert not re.search(r"url\(|@import|https?://(?!www\.w3\.org/2000/svg)", script() + styles())


def test_the_script_builds_no_markup_from_text():
    assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval|Function\(", script())
