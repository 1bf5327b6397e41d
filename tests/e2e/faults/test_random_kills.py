"""Random kills during ten jobs: no job is lost or runs to an end twice, and every digest matches.

`benchmarks/chaos.py` has hundreds of jobs and other faults.
"""

from tests.e2e.faults.cluster import Cluster
from tests.e2e.faults.kills import survive
from tests.specs import UNTIMED

SPEC = {"preset": "int8-weights", "weights": {"clipping": "minmax"}, **UNTIMED}
"""Jobs that last long enough to be killed."""


def test_no_job_is_lost_or_ends_twice(tmp_path, examples):
    with Cluster(tmp_path, workers=2, lease_s="2") as cluster:
        model = cluster.upload("model", examples / "digits.onnx")
        ends = survive(cluster, {"model": model, "spec": SPEC}, jobs=10, kills=12, seed=12)
        assert {"gateway", "valkey", *cluster.workers} <= set(ends["killed"])
    assert sum(ends["killed"].values()) == 12
    assert ends["succeeded"] + ends["failed"] == 10
    assert ends["succeeded"] > 6
