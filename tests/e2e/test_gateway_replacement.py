"""Gateways behind nginx, configured by deploy/nginx.conf, that are replaced while callers wait."""

import json
import os
import shutil
import signal
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

import httpx
import numpy as np
import pytest

from jobs.process import start, stop
from tests.e2e.faults.cluster import Cluster, free_port, until
from tests.specs import QUICK, UNTIMED

CONF = Path(__file__).parents[2] / "deploy" / "nginx.conf"
MAIN = """daemon off;
pid {folder}/nginx.pid;
user root;
events {{}}
http {{
    access_log off;
    {temporary}
    include {folder}/quantd.conf;
}}
"""
CLIENTS = 10
SPEC = {**QUICK, **UNTIMED}


@pytest.fixture(scope="session")
def nginx_program():
    """Debian's nginx, which is installed where it is absent and may be."""
    if shutil.which("nginx") is None and os.getuid() == 0 and shutil.which("apt-get") is not None:
        apt = ["apt-get", "-qq", "-o", "DPkg::Lock::Timeout=60"]
        subprocess.run([*apt, "update"], capture_output=True)
        subprocess.run([*apt, "install", "-y", "--no-install-recommends", "nginx-light"], capture_output=True)
    program = shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin")
    if program is None:
        pytest.skip("nginx is not installed and cannot be installed here")
    return program


@pytest.fixture(scope="module")
def cluster(nginx_program, tmp_path_factory):
    with Cluster(tmp_path_factory.mktemp("cluster"), gateways=2) as running:
        yield running


@pytest.fixture(scope="module")
def url(nginx_program, cluster):
    """The address of nginx before both gateways."""
    folder = cluster.folder
    port, text = free_port(), CONF.read_text()
    addresses = {"listen 80;": f"listen 127.0.0.1:{port};"} | {
        f"127.0.0.1:{8001 + index}": f"127.0.0.1:{own}" for index, own in enumerate(cluster.ports)
    }
    for address, replacement in addresses.items():
        assert address in text
        text = text.replace(address, replacement)
    (folder / "quantd.conf").write_text(text)
    kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    temporary = " ".join(f"{kind}_temp_path {folder}/{kind};" for kind in kinds)
    (folder / "nginx.conf").write_text(MAIN.format(folder=folder, temporary=temporary))
    process = start([nginx_program, "-e", folder / "nginx.log", "-c", folder / "nginx.conf"], folder / "nginx.out")
    try:
        until(lambda: _answers(f"http://127.0.0.1:{port}/livez"), "nginx")
        yield f"http://127.0.0.1:{port}"
    finally:
        stop(process)


def _answers(url):
    try:
        return httpx.get(url).status_code == 200
    except httpx.TransportError:
        return False


def test_a_body_above_the_limit_of_nginx_passes(url, tmp_path):
    np.savez(tmp_path / "x.npz", x=np.zeros((3, 1 << 18), np.float32))
    sent = httpx.post(f"{url}/v1/datasets", content=(tmp_path / "x.npz").read_bytes())
    assert (sent.status_code, sent.json()["size"] > 3_000_000) == (201, True), sent.text


def _client(url, arguments):
    """Start the command."""
    return subprocess.Popen(
        [sys.executable, "-m", "quantd", *map(str, arguments)], env={**os.environ, "QUANTD_URL": url},
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def test_both_gateways_are_replaced_under_ten_waiting_clients(cluster, url, examples, tmp_path):
    worker = cluster.processes["worker1"].pid
    os.kill(worker, signal.SIGSTOP)  # no job begins before the gateways are replaced
    (tmp_path / "spec.json").write_text(json.dumps(SPEC))
    watched = cluster.submit(model=cluster.upload("model", examples / "digits.onnx"), spec=SPEC)
    arguments = [
        ["quantize", examples / "digits.onnx", "--spec", tmp_path / "spec.json", "-o", tmp_path / f"{number}.onnx"]
        if number % 3 == 0
        else ["jobs", "watch", watched["id"]]
        for number in range(CLIENTS)
    ]
    with ExitStack() as running:
        clients = [running.enter_context(_client(url, words)) for words in arguments]
        for client in clients:
            running.callback(client.kill)
        assert {client.stdout.readline().split()[0] for client in clients} == {"job"}  # each waits for its job
        with httpx.stream("GET", f"{url}/v1/jobs/{watched['id']}/events") as stream:
            lines = (line for line in stream.iter_lines() if line.startswith("data:"))
            assert '"queued"' in next(lines)
            assert set(cluster.terminate(*cluster.gateways)) <= {0, -signal.SIGTERM}
            assert list(lines) == ['data: {"status": "queued", "final": false}']
        cluster.start(*cluster.gateways)
        cluster.wait_ready()
        os.kill(worker, signal.SIGCONT)
        ended = [client.communicate(timeout=60) for client in clients]
    assert [client.returncode for client in clients] == [0] * CLIENTS, ended
    models = [path.read_bytes() for path in tmp_path.glob("*.onnx")]
    assert (len(models), len(set(models))) == (4, 1)
