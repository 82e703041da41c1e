"""A connection to a Ray cluster, and how many workers of what size a run has there.

Without an address and without RAY_ADDRESS a private cluster is started for the run, with its files in a folder of its
own so that no other run finds it, without dashboard and usage reports, and reachable from this machine alone. That
last needs a switch which Ray reads when it is imported: a program that imported Ray before gets Ray's own choice.
"""

from __future__ import annotations

import contextlib
import importlib.util
import logging
import math
import os
import secrets
import shutil
import socket
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from saltus.errors import MissingExtra, UserError

OBJECTS = 80 << 20
"""Bytes of Ray's shared memory in a private cluster, near its minimum: answers never go through it."""

MOST_CONNECTING = 10.0
"""Seconds in which a cluster's address must answer."""

_PRIVATE = {
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",  # Ray's switch for listening on the loopback interface alone
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_enable_metrics_collection": "0",
    "RAY_AUTH_MODE": "token",
}


@dataclass(frozen=True)
class Cluster:
    """A connection, and what of the cluster a run takes."""

    ray: Any
    workers: int
    threads: int
    gpus: float
    """Per worker."""
    ours: bool
    """The connection ends with the run."""
    folder: Path | None
    """Of a private cluster: Ray's files, which go with it."""

    def close(self) -> None:
        if self.ours:
            self.ray.shutdown()
        if self.folder is not None:
            shutil.rmtree(self.folder, ignore_errors=True)


def connect(address: str | None, workers: int | None, threads: int | None, gpus: float) -> Cluster:
    """Joins a cluster, or starts a private one where there is no address, and says what of it a run takes."""
    folder = None
    with environment({} if address else private()):
        ray = package()
        ours = not ray.is_initialized()
        if ours and address:
            _join(ray, address)
        elif ours:
            folder = _start(ray, (workers or 1) * (threads or 1))
    machines = [n["Resources"] for n in ray.nodes() if n["Alive"] and n["Resources"].get("CPU")]
    cards = sum(m.get("GPU", 0.0) for m in machines)
    workers = workers or int(cards // gpus if cards else len(machines)) or 1
    least = min((m["CPU"] for m in machines), default=1.0)
    here = math.ceil(workers / max(1, len(machines)))
    threads = threads or max(1, int(least // here))
    return Cluster(ray, workers, threads, gpus if cards else 0.0, ours, folder)


def required() -> None:
    """Raises MissingExtra where Ray is not installed."""
    if importlib.util.find_spec("ray") is None:
        raise MissingExtra("--on ray", "ray")


def package() -> Any:
    """Ray, imported on use."""
    import ray
    import ray.cloudpickle
    import ray.exceptions

    return ray


def _join(ray: Any, address: str) -> None:
    try:
        if address != "auto":  # Ray itself tries for many minutes
            host, _, port = address.rpartition(":")
            socket.create_connection((host, int(port)), timeout=MOST_CONNECTING).close()
        with environment({"RAY_gcs_server_port_wait_time_s": "1"}):  # one attempt, of 40 seconds
            ray.init(address=address, logging_level=logging.ERROR, log_to_driver=False)
    except (OSError, ValueError, RuntimeError, ray.exceptions.RayError) as error:
        raise UserError(
            f"no Ray cluster answers: {str(error).splitlines()[0]}",
            where=f"--on ray:{address}",
            wanted="HOST:PORT of a running cluster",
            do="`ray start --head` begins one; `--on ray` alone needs none",
        ) from error


def _start(ray: Any, least: int) -> Path:
    """A private cluster with as many processors as there are, or as the workers want; the folder of its files."""
    # Paths of sockets may have 107 characters, which a long temporary folder would use up.
    short = "/tmp" if os.path.isdir("/tmp") else None
    folder = Path(tempfile.mkdtemp(prefix="saltus-ray-", dir=short))
    ray.init(
        address="local",
        num_cpus=max(least, os.cpu_count() or 1),
        include_dashboard=False,
        object_store_memory=OBJECTS,
        _temp_dir=str(folder),
        logging_level=logging.ERROR,
        log_to_driver=False,
    )
    return folder


def private() -> dict[str, str]:
    """What must be set while a private cluster starts. It has a secret of its own: Ray's default writes one to the
    user's home, where other clusters would be held to it."""
    return {**_PRIVATE, "RAY_AUTH_TOKEN": secrets.token_hex(32)}


@contextlib.contextmanager
def environment(values: dict[str, str]) -> Iterator[None]:
    """Variables that are set inside, unless the user has set them."""
    ours = {k: v for k, v in values.items() if k not in os.environ}
    os.environ.update(ours)
    try:
        yield
    finally:
        for name in ours:
            del os.environ[name]
