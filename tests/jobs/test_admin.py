"""Administration reaches the records of a deployment, a stopped service and a running one."""

import redis

from jobs.admin import administered
from jobs.stack import ADDRESS, locked


def test_a_deployment_is_named_by_the_environment(monkeypatch, tmp_path):
    monkeypatch.setenv("QUANTD_REDIS_URL", "redis://example.org/0")
    with administered(tmp_path) as settings:
        assert settings.redis_url == "redis://example.org/0"
    assert list(tmp_path.iterdir()) == []


def test_the_store_of_a_stopped_service_runs_for_the_duration(monkeypatch, tmp_path):
    monkeypatch.delenv("QUANTD_REDIS_URL", raising=False)
    with administered(tmp_path / "state") as settings, redis.Redis.from_url(settings.redis_url) as client:
        assert client.ping()


def test_a_running_service_is_found_by_its_address(monkeypatch, tmp_path):
    monkeypatch.delenv("QUANTD_REDIS_URL", raising=False)
    (tmp_path / ADDRESS).write_text("unix:///running")
    with locked(tmp_path), administered(tmp_path) as settings:
        assert settings.redis_url == "unix:///running"
