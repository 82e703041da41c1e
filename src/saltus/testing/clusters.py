"""A Ray cluster of several machines that are all this one, for tests and benchmarks; needs ray.

Every machine is a raylet of its own with its own workers, so killing one is to Ray what a machine's death is. All of it
listens on the loopback interface alone, has its files in a folder that goes with the cluster, and notices a death
within seconds instead of half a minute. Import Ray before, and it listens everywhere: see `ray_cluster`.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from saltus.runner.ray_cluster import OBJECTS, environment, package, private

_NOTICE = {
    "health_check_initial_delay_ms": 500,
    "health_check_period_ms": 500,
    "health_check_timeout_ms": 2000,
    "health_check_failure_threshold": 3,
}


class LocalCluster:
    """Its address, its machines, and ways to lose and to win one."""

    def __init__(self, cluster: Any) -> None:
        self._cluster = cluster

    @property
    def address(self) -> str:
        """For `--on ray:ADDRESS`."""
        return str(self._cluster.address)

    @property
    def machines(self) -> int:
        """Those that have processors."""
        return len(self._cluster.worker_nodes)

    def add(self) -> None:
        """One more machine, of one processor."""
        self._cluster.add_node(num_cpus=1, node_ip_address="127.0.0.1", object_store_memory=OBJECTS)

    def kill(self) -> None:
        """SIGKILL to the raylet of a machine; its workers are left to notice."""
        machine = next(iter(self._cluster.worker_nodes))
        machine.kill_raylet(check_alive=False)
        self._cluster.worker_nodes.discard(machine)


@contextlib.contextmanager
def local_cluster(machines: int) -> Iterator[LocalCluster]:
    """A head without processors and so many machines of one, until the block ends."""
    with environment(private()):
        package()
        from ray.cluster_utils import Cluster

        os.makedirs("/tmp/ray", exist_ok=True)  # the address of the latest cluster is written there
        folder = Path(tempfile.mkdtemp(prefix="saltus-ray-", dir="/tmp"))
        head = {
            "num_cpus": 0,
            "node_ip_address": "127.0.0.1",
            "include_dashboard": False,
            "object_store_memory": OBJECTS,
            "temp_dir": str(folder),
            "_system_config": _NOTICE,
        }
        cluster = Cluster(initialize_head=True, head_node_args=head)
        try:
            here = LocalCluster(cluster)
            for _ in range(machines):
                here.add()
            yield here
        finally:
            cluster.shutdown()
            shutil.rmtree(folder, ignore_errors=True)
