"""A share link shows one report to anybody who has it, and nothing else."""

import httpx
import pytest


@pytest.fixture
def share(alice, keyed, shared_job):
    headers = {"Authorization": f"Bearer {alice.key}"}
    return httpx.post(f"{keyed.url}/v1/jobs/{shared_job['id']}/shares", json={"days": 1}, headers=headers).json()


@pytest.fixture
def stranger(new_browser):
    return new_browser()


def test_the_link_shows_the_report_without_a_session(stranger, share, alice, shared_job):
    shown = stranger.get(share["url"])
    assert shown.status_code == 200
    assert shown.content == alice.client.get(shared_job["links"]["report_html"]).content
    assert "set-cookie" not in shown.headers


def test_the_link_opens_nothing_else(stranger, share, shared_job):
    for url in (shared_job["links"]["self"], shared_job["links"]["report_html"], shared_job["links"]["artifacts"]):
        assert stranger.get(url).status_code == 401
    token = share["url"].removeprefix("/share/")
    assert stranger.get(shared_job["links"]["self"], headers={"Authorization": f"Bearer {token}"}).status_code == 401
    for path in (f"{share['url']}/model.onnx", f"{share['url']}/../../v1/jobs"):
        assert stranger.get(path).status_code in (401, 404)


def test_the_report_is_neither_stored_nor_named_to_other_sites_nor_found_by_robots(stranger, share):
    headers = stranger.get(share["url"]).headers
    assert headers["cache-control"] == "private, no-store"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["x-robots-tag"] == "noindex"
    assert "default-src 'none'" in headers["content-security-policy"]


def test_only_reading_is_possible(stranger, share):
    for method in ("POST", "DELETE", "PUT"):
        assert stranger.request(method, share["url"]).status_code == 405


@pytest.mark.parametrize("change", [lambda url: url[:-1], lambda url: url + "A", lambda url: url.split(".")[0]])
def test_a_changed_link_says_what_to_do_and_nothing_about_the_job(stranger, share, shared_job, change):
    missing = stranger.get(change(share["url"]))
    assert missing.status_code == 404
    assert "ask its sender" in missing.text
    assert shared_job["id"] not in missing.text


def links_of(person, job):
    return person.client.get(f"/v1/jobs/{job['id']}/shares").json()["items"]


def test_the_forms_of_the_job_page_share_and_revoke(alice, stranger, shared_job):
    page, token = f"/jobs/{shared_job['id']}", alice.csrf_token
    before = links_of(alice, shared_job)
    answer = alice.client.post(f"{page}/shares", data={"days": "30", "csrf_token": token})
    assert (answer.status_code, answer.headers["location"]) == (303, f"{page}#shares")
    (share,) = [share for share in links_of(alice, shared_job) if share not in before]
    assert stranger.get(share["url"]).status_code == 200
    assert alice.client.post(f"{page}/shares", data={"days": "2", "csrf_token": token}).status_code == 400
    revoked = alice.client.post(f"{page}/shares/{share['id']}/revoke", data={"csrf_token": token})
    assert revoked.headers["location"] == f"{page}#shares"
    assert stranger.get(share["url"]).status_code == 404


def test_a_person_of_another_tenant_shares_nothing(new_person, shared_job):
    bob = new_person("bob")
    answer = bob.client.post(f"/jobs/{shared_job['id']}/shares", data={"days": "1", "csrf_token": bob.csrf_token})
    assert answer.status_code == 404


def test_deleting_the_job_ends_its_links(alice, keyed, stranger, examples, shared_job):
    headers = {"Authorization": f"Bearer {alice.key}"}
    job = httpx.post(
        f"{keyed.url}/v1/jobs", json={"model": shared_job["model"], "spec": shared_job["spec"]}, headers=headers
    ).json()
    assert job["cached"]
    share = httpx.post(f"{keyed.url}/v1/jobs/{job['id']}/shares", json={}, headers=headers).json()
    assert stranger.get(share["url"]).status_code == 200
    assert httpx.delete(keyed.url + job["links"]["self"], headers=headers).status_code == 204
    assert stranger.get(share["url"]).status_code == 404


def test_the_token_is_in_no_log(stranger, share, keyed):
    stranger.get(share["url"])
    stranger.get(share["url"] + "x")
    secret = share["url"].partition(".")[2]
    logs = [path.read_text() for path in keyed.folder.glob("*.log")]
    assert any("/share/{token}" in log for log in logs)
    assert not [log for log in logs if secret in log]


def test_one_link_is_not_read_without_end(stranger, share):
    codes = [stranger.get(share["url"]).status_code for _ in range(130)]  # the minute may turn once
    assert set(codes) == {200, 429}
