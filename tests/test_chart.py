"""The Helm chart: Helm itself renders it, and every object fits the schemas of Kubernetes."""

import re
from itertools import product
from pathlib import Path

import helm_python
import kubernetes_validate
import pytest
import yaml

from jobs.settings import Settings

CHART = Path(__file__).parent.parent / "deploy" / "helm" / "quantd"
PAGE = CHART.parents[2] / "docs" / "kubernetes.md"
KUBERNETES = ("1.30", "1.37")
STORE = {
    "url": "s3://bucket/prefix",
    "existingSecret": "store",
    "environment": {"AWS_REGION": "us-east-1"},
    "port": 9000,
}
EXTERNAL = {"store": STORE, "redis": {"existingSecret": "redis"}}
EVERYTHING = {
    "store": STORE,
    "valkey": {
        "enabled": True,
        "existingSecret": "valkey",
        "image": {"repository": "valkey", "digest": f"sha256:{'0' * 64}"},
    },
    "autoscaling": {"enabled": True, "prometheusAddress": "http://prometheus:9090"},
    "metrics": {"existingSecret": "scraper", "namespaceLabels": {"team": "monitoring"}},
    "ingress": {"enabled": True, "host": "quantd.example.org", "tlsSecret": "tls", "className": "nginx"},
    "gateway": {"trustedProxies": "10.0.0.1", "nodeSelector": {"kubernetes.io/os": "linux"}},
    "settings": {"JOB_TIMEOUT_S": "7200"},
    "networkPolicy": {"from": [{"podSelector": {}}]},
    "imagePullSecrets": [{"name": "registry"}],
    "serviceAccount": {"annotations": {"role": "quantd"}},
}


def render(values):
    """Return the objects of a release by kind and name."""
    with helm_python.Chart.load(CHART) as chart:
        chart.validate_schema(values)
        texts = chart.render(values, name="trial", namespace="models")
    objects = [
        item for path, text in texts.items() if path.endswith(".yaml") for item in yaml.safe_load_all(text) if item
    ]
    return {(item["kind"], item["metadata"]["name"]): item for item in objects}


@pytest.fixture(scope="module", params=[EXTERNAL, EVERYTHING], ids=["external", "everything"])
def objects(request):
    return render(request.param)


def pods(objects):
    return {
        name: item["spec"]["template"]
        for (kind, name), item in objects.items()
        if kind in ("Deployment", "StatefulSet")
    }


def test_helm_finds_no_fault():
    found = helm_python.lint(CHART)["messages"]
    assert [message["error"] for message in found] == ["icon is recommended"]


def test_every_object_fits_the_schemas_of_kubernetes(objects):
    custom = {"ScaledObject", "ServiceMonitor", "PodMonitor"}
    for item, version in product(objects.values(), KUBERNETES):
        if item["kind"] not in custom:
            kubernetes_validate.validate(item, version, strict=True)


def test_no_container_has_privileges_or_a_writable_root(objects):
    for pod in (template["spec"] for template in pods(objects).values()):
        assert pod["automountServiceAccountToken"] is False
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        for container in pod["containers"]:
            security = container["securityContext"]
            assert (security["allowPrivilegeEscalation"], security["readOnlyRootFilesystem"]) == (False, True)
            assert security["capabilities"] == {"drop": ["ALL"]}
            assert {"requests", "limits"} <= set(container["resources"])
            assert "livenessProbe" in container


def test_every_selector_finds_the_pods_of_its_component(objects):
    labels = {name: template["metadata"]["labels"] for name, template in pods(objects).items()}
    selectors = {
        (kind, name): item["spec"].get("podSelector") or item["spec"].get("selector")
        for (kind, name), item in objects.items()
        if kind not in ("Ingress", "ScaledObject", "ServiceAccount")
    }
    for (kind, name), selector in selectors.items():
        wanted = selector.get("matchLabels", selector)
        component = wanted["app.kubernetes.io/component"]
        found = [pod for pod, carried in labels.items() if wanted.items() <= carried.items()]
        assert found == [f"trial-{component}"], (kind, name)
        assert name in ("trial", f"trial-{component}")


def test_secrets_are_named_and_never_made(objects):
    assert not [name for kind, name in objects if kind == "Secret"]
    gateway = pods(objects)["trial-gateway"]["spec"]["containers"][0]
    assert gateway["envFrom"] == [{"secretRef": {"name": "store"}}]
    keys = {
        entry["valueFrom"]["secretKeyRef"]["name"]: entry["name"] for entry in gateway["env"] if "valueFrom" in entry
    }
    assert keys in ({"redis": "QUANTD_REDIS_URL"}, {"valkey": "VALKEY_PASSWORD"})


def test_the_environment_holds_settings_that_exist(objects):
    known = {f"QUANTD_{name.upper()}" for name in Settings.model_fields}
    for template in pods(objects).values():
        names = {entry["name"] for entry in template["spec"]["containers"][0]["env"]}
        assert {name for name in names if name.startswith("QUANTD_")} <= known


def test_a_stopped_worker_has_as_long_as_a_job_may_take():
    for values, seconds in ((EXTERNAL, 3660), (EVERYTHING, 7260)):
        assert pods(render(values))["trial-worker"]["spec"]["terminationGracePeriodSeconds"] == seconds


def test_workers_follow_the_jobs_that_are_queued_or_running():
    objects = render(EVERYTHING)
    assert "replicas" not in objects["Deployment", "trial-worker"]["spec"]
    scaled = objects["ScaledObject", "trial-worker"]["spec"]
    assert scaled["scaleTargetRef"] == {"name": "trial-worker"}
    assert set(re.findall(r"quantd_\w+", scaled["triggers"][0]["metadata"]["query"])) == {
        "quantd_jobs_queued", "quantd_jobs_running",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("values", "fault"),
    [
        ({"store": STORE}, "redis.existingSecret names a Secret"),
        ({"store": {"url": ""}, "redis": {"existingSecret": "redis"}}, "store.url names the object store"),
        ({**EXTERNAL, "valkey": {"enabled": True, "existingSecret": "valkey"}}, "set either redis.existingSecret or"),
        ({**EXTERNAL, "gatewai": {}}, "additional properties 'gatewai' not allowed"),
        ({**EXTERNAL, "store": {**STORE, "environment": {"AWS_SECRET_ACCESS_KEY": "x"}}}, "AWS_SECRET_ACCESS_KEY"),
        ({**EXTERNAL, "settings": {"AUTH": "off"}}, "AUTH"),
    ],
)
def test_wrong_values_are_refused(values, fault):
    with pytest.raises(helm_python.HelmError, match=re.escape(fault)):
        render(values)


def test_the_values_of_the_page_are_accepted():
    (values,) = re.findall(r"```yaml\n# values.yaml\n(.*?)```", PAGE.read_text(), re.S)
    assert ("Ingress", "quantd") not in render(yaml.safe_load(values))
