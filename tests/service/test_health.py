"""Health checks and metrics over HTTP."""


def test_health_and_metrics_answer(http):
    assert http.get("/livez").json() == {"status": "ok"}
    assert http.get("/readyz").json()["status"] == "ok"
    metrics = http.get("/metrics").text
    assert 'quantd_requests_total{method="GET",route="/livez",status="200"}' in metrics
