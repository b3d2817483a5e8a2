"""Join a Ray cluster, or start one on this machine, and leave it again."""

from __future__ import annotations

import contextlib
import logging
import math
import os
import socket
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import edgeclf
from edgeclf.engines import ray_extra
from edgeclf.errors import EdgeclfError

KNOCK_TIMEOUT_S = 5.0  # Ray itself tries for two minutes
LEAVE_TIMEOUT_S = 15.0
# What a client of HTTP/2 sends first, with an empty frame of settings, and the type of
# the frame that the server must answer with; Ray speaks gRPC. Source: RFC 9113,
# sections 3.4 and 6.5.
HTTP2_SETTINGS = b"\4"
HTTP2_PREFACE = (
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes(3) + HTTP2_SETTINGS + bytes(5)
)
# Of shared memory, for a cluster of our own: items and results are small. Ray takes
# 30 % of the machine otherwise.
OBJECT_STORE_BYTES = 200_000_000
# What Ray's scheduler counts a processor in. Source: RESOURCE_UNIT_SCALING in
# ray/src/ray/common/constants.h.
CPU_STEP = 10_000
# A worker asks for half a processor at most: half of the cluster may go, and there is
# still room for all. A worker without room would keep its items waiting.
CPU_SHARE = 0.5


@dataclass(frozen=True)
class Cluster:
    """What the pool of workers needs to know about where it runs.

    Attributes:
        ray: The module `ray`, connected.
        address: `HOST:PORT` of its head.
        num_workers: How many workers to start.
        cpu_share: What each asks of a processor, in (0, 0.5].
    """

    ray: Any
    address: str
    num_workers: int
    cpu_share: float

    @property
    def num_cpus(self) -> float:
        """Processors that the cluster has now."""
        return float(self.ray.cluster_resources().get("CPU", 0))

    @property
    def free_cpus(self) -> float:
        """Processors that nobody has asked for."""
        return float(self.ray.available_resources().get("CPU", 0))

    def silence(self) -> str:
        """Return why the head of the cluster does not answer; "" if it does."""
        host, _, port = self.address.rpartition(":")
        try:
            with _called(host.strip("[]"), int(port)):
                return ""
        except OSError as error:
            return error.strerror or str(error)


@contextlib.contextmanager
def joined(address: str | None, num_workers: int | None) -> Iterator[Cluster]:
    """Be part of a cluster for the length of the block.

    A program that has called `ray.init` itself stays where it is, and connected.

    Args:
        address: `HOST:PORT` of a cluster that this machine is part of, or `auto`; None
            for a cluster of its own, which ends with the block.
        num_workers: How many workers to start; None for one per processor.

    Raises:
        MissingExtraError: Ray is not installed.
        EdgeclfError: There is no cluster at the address, it speaks another version of
            Ray or Python, or it has no processors.
    """
    ray = ray_extra.require()
    if ray.is_initialized():
        yield _measured(ray, num_workers)
        return
    try:
        _connect(ray, address, num_workers)
        yield _measured(ray, num_workers)
    finally:
        # Of a cluster whose head is gone nobody can take leave.
        leaving = threading.Thread(target=ray.shutdown, daemon=True)
        leaving.start()
        leaving.join(LEAVE_TIMEOUT_S)


def _connect(ray: Any, address: str | None, num_workers: int | None) -> None:
    options: dict[str, Any] = {
        "log_to_driver": False,
        "logging_level": logging.CRITICAL,
    }
    if address is None:
        options |= {
            "address": "local",  # not one that an earlier run has left its address of
            "num_cpus": num_workers,
            "include_dashboard": False,
            "object_store_memory": OBJECT_STORE_BYTES,
        }
    else:
        _knock(address)
        # The workers run this very code, whatever is installed there.
        package = str(Path(edgeclf.__file__).parent)
        options |= {"address": address, "runtime_env": {"py_modules": [package]}}
    try:
        with _stderr_closed():
            ray.init(**options)
    except Exception as error:  # Ray raises a bare one when a node starts too slowly
        where = "a Ray cluster on this machine" if address is None else "a Ray cluster"
        raise EdgeclfError(
            f"Expected {where}{_at(address)}, of Ray {ray.__version__} and this "
            f"Python. Received: {_first_lines(error)}"
        ) from error


@contextlib.contextmanager
def _stderr_closed() -> Iterator[None]:
    """Drop what Ray's C++ parts write while they start, up to how quiet they will be.

    What goes wrong comes back as an error.
    """
    if sys.stderr is None:  # closed by the caller
        yield
        return
    sys.stderr.flush()
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)


def _knock(address: str) -> None:
    """Try whether a Ray cluster may listen there; Ray takes two minutes to say no."""
    if address == "auto":
        return
    try:
        parts = urlsplit(f"//{address}")
        host, port = parts.hostname, parts.port
    except ValueError:
        host = port = None
    if host is None or port is None or parts.netloc != address:
        raise EdgeclfError(
            "Expected HOST:PORT or auto as --address, on a machine of the cluster. "
            f"Received: {address}."
        )
    try:
        with _called(host, port) as connection:
            connection.sendall(HTTP2_PREFACE)
            answer = connection.recv(9)  # the head of a frame; its type is SETTINGS
    except OSError as error:
        answer, why = b"", error.strerror or str(error)
    else:
        why = "an answer in another protocol"
    if answer[3:4] != HTTP2_SETTINGS and not os.environ.get("RAY_USE_TLS"):
        raise EdgeclfError(
            f"Expected a Ray cluster{_at(address)}. Received: {why}. "
            "`ray start --head` prints the address."
        )


def _called(host: str, port: int) -> socket.socket:
    return socket.create_connection((host, port), KNOCK_TIMEOUT_S)


def _measured(ray: Any, num_workers: int | None) -> Cluster:
    """Return how many workers fit, and how much of a processor each may ask for.

    Any one machine may be lost, and each worker must still find room on the others.
    """
    machines = [
        node["Resources"].get("CPU", 0.0) for node in ray.nodes() if node["Alive"]
    ]
    total = sum(machines)
    workers = num_workers or int(total)
    if not workers:
        raise EdgeclfError(
            "Expected a Ray cluster with processors. Received: one with none now. "
            "Give --workers for a cluster that grows when it is asked for more."
        )
    after_loss = total - max(machines, default=0) or total or workers
    share = min(CPU_SHARE, after_loss / workers)
    share = max(1, math.floor(share * CPU_STEP)) / CPU_STEP
    return Cluster(ray, ray.get_runtime_context().gcs_address, workers, share)


def _at(address: str | None) -> str:
    return "" if address is None else f" at {address}"


def _first_lines(error: Exception) -> str:
    """Return what a long message of Ray's says first, on one line."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return " ".join(lines[:3]) or type(error).__name__
