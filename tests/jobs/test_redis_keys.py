"""The names of keys are a stored format: existing deployments hold them."""

from jobs import redis_keys as keys


def test_names_stay_as_they_are():
    assert keys.job_key("job_1") == "qd:job:job_1"
    assert keys.events_key("job_1") == "qd:job:job_1:events"
    assert keys.upload_key("model", "model_1") == "qd:model:model_1"
    assert keys.index_key("t", "job", "tag:a:b") == "qd:tenant:t:jobs:tag:a:b"
    assert keys.digests_key("t", "model") == "qd:tenant:t:model:sha256"
    assert keys.results_key("t") == "qd:tenant:t:results"
    assert keys.idempotency_key("t", "key") == "qd:tenant:t:idempotency:key"
