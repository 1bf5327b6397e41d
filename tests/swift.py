"""An S3 server for the tests: OpenStack Swift with its S3 API, as four processes on loopback with one data folder."""

import getpass
import socket
import subprocess
import sys
import time
from datetime import timedelta
from pathlib import Path

import httpx
import obstore
from obstore.store import S3Store

ACCESS_KEY, SECRET_KEY, BUCKET = "test:tester", "testing", "bucket"
STARTS_WITHIN_S = 30.0
KINDS = ("account", "container", "object")
_RUN = """
import sys
import eventlet
eventlet.monkey_patch()
import swift.common.utils.config, swift.common.utils as utils
utils.SWIFT_CONF_FILE = sys.argv[2]
utils.config.SWIFT_CONF_FILE = sys.argv[2]
utils.HASH_PATH_SUFFIX = utils.HASH_PATH_PREFIX = b"quantd"
from swift.common.wsgi import run_wsgi
sys.exit(run_wsgi(sys.argv[1], sys.argv[3]))
"""
_RING = """
import sys
from swift.common.ring import RingBuilder
for path, port in zip(sys.argv[1::2], sys.argv[2::2]):
    address = {"ip": "127.0.0.1", "port": int(port)}
    builder = RingBuilder(part_power=2, replicas=1, min_part_hours=0)
    builder.add_dev({"region": 1, "zone": 1, "device": "d1", "weight": 1, "meta": "", **address,
                     **{"replication_" + name: value for name, value in address.items()}})
    builder.rebalance()
    builder.get_ring().save(path)
"""
_PROXY = """
[DEFAULT]
bind_ip = 127.0.0.1
bind_port = {port}
workers = 0
swift_dir = {folder}
user = {user}
[pipeline:main]
pipeline = catch_errors gatekeeper cache s3api tempauth bulk slo proxy-server
[filter:catch_errors]
use = egg:swift#catch_errors
[filter:gatekeeper]
use = egg:swift#gatekeeper
[filter:cache]
use = egg:swift#memcache
memcache_servers = 127.0.0.1:1
[filter:s3api]
use = egg:swift#s3api
location = us-east-1
[filter:tempauth]
use = egg:swift#tempauth
user_test_tester = testing .admin
[filter:bulk]
use = egg:swift#bulk
[filter:slo]
use = egg:swift#slo
[app:proxy-server]
use = egg:swift#proxy
account_autocreate = true
"""
_STORAGE = """
[DEFAULT]
bind_ip = 127.0.0.1
bind_port = {port}
workers = 0
swift_dir = {folder}
devices = {folder}/devices
mount_check = false
disable_fallocate = true
recon_cache_path = {folder}
user = {user}
[pipeline:main]
pipeline = {kind}-server
[app:{kind}-server]
use = egg:swift#{kind}
"""


class Swift:
    """A server with an empty bucket at `swift.url`; clients need the variables of `swift.environment`."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._names, self._processes = folder, [], []
        self.endpoint = f"http://127.0.0.1:{_free_port()}"
        self.url = f"s3://{BUCKET}/prefix"
        self.environment = {
            "AWS_ENDPOINT": self.endpoint, "AWS_ALLOW_HTTP": "true", "AWS_REGION": "us-east-1",
            "AWS_ACCESS_KEY_ID": ACCESS_KEY, "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
        }  # fmt: skip

    def __enter__(self):
        (self._folder / "devices" / "d1").mkdir(parents=True)
        (self._folder / "swift.conf").write_text("[swift-hash]\nswift_hash_path_suffix = quantd\n")
        settings = {"folder": self._folder, "user": getpass.getuser()}
        ports = {kind: str(_free_port()) for kind in KINDS}
        rings = [part for kind, port in ports.items() for part in (self._folder / f"{kind}.ring.gz", port)]
        subprocess.run([sys.executable, "-W", "ignore", "-c", _RING, *rings], check=True)
        for kind, port in ports.items():
            self._configure(f"{kind}-server", _STORAGE.format(port=port, kind=kind, **settings))
        self._configure("proxy-server", _PROXY.format(port=self.endpoint.rsplit(":")[-1], **settings))
        self.start()
        try:
            self._make_bucket()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        self.stop()

    def start(self):
        for name in self._names:
            path = self._folder / f"{name}.conf"
            with (self._folder / f"{name}.log").open("ab") as log:
                command = [sys.executable, "-c", _RUN, path, self._folder / "swift.conf", name]
                self._processes.append(subprocess.Popen(command, stdout=log, stderr=log))

    def stop(self):
        """Kill all processes at once, as a power failure does; the data stays."""
        while self._processes:
            process = self._processes.pop()
            process.kill()
            process.wait()

    @property
    def pids(self):
        """Return the ids of the processes."""
        return [process.pid for process in self._processes]

    @property
    def bucket(self):
        """The bucket, as obstore reads and writes it."""
        return S3Store(
            BUCKET, endpoint=self.endpoint, access_key_id=ACCESS_KEY, secret_access_key=SECRET_KEY, region="us-east-1",
            client_options={"allow_http": True}, virtual_hosted_style_request=False,
        )  # fmt: skip

    def _configure(self, name, text):
        (self._folder / f"{name}.conf").write_text(text)
        self._names.append(name)

    def _make_bucket(self):
        """Create a bucket by a signed PUT of its address, because obstore has no such call."""
        url = obstore.sign(self.bucket, "PUT", "", timedelta(minutes=5))
        deadline = time.monotonic() + STARTS_WITHIN_S
        while True:
            try:
                answer = httpx.put(url)
                if answer.status_code == 200:
                    return
                error = answer.text
            except httpx.TransportError as failed:
                error = str(failed)
            if time.monotonic() > deadline:
                raise TimeoutError(f"Swift made no bucket: {error}; its logs are in {self._folder}")
            time.sleep(0.2)


def _free_port():
    with socket.create_server(("127.0.0.1", 0)) as free:
        return free.getsockname()[1]
