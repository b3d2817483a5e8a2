"""What Ray asks the network for when we start it: nothing about its use is told.

`make test-ray` also labels on a cluster of our own and looks at every address.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import model_files as models
import pytest
from test_privacy import CACHE, addresses, furnish
from watching import Place, files_below

pytest.importorskip("ray.data", reason="ray[data] is not installed: edgeclf[ray]")

# Where a cloud tells a machine which one it is: Ray asks, and keeps the answer.
# Source: ray/_common/usage/usage_lib.py, get_cloud_from_metadata_requests.
OWN_CLOUD = {"169.254.169.254", "metadata.google.internal"}
# How Ray finds out which of this machine's addresses leads outside: nothing is sent.
# Source: RFC 5737, section 3: 192.0.2.0/24 is of nobody.
OWN_ADDRESS = {"0.0.0.0", "127.0.0.1", "localhost", "192.0.2.2"}  # noqa: S104
ENABLED = """
from edgeclf.engines import ray_extra
ray_extra.require()
from ray._common.usage import usage_lib
print(usage_lib.usage_stats_enabled())
"""


def test_rays_reports_of_use_are_off_whatever_the_environment_says(
    tmp_path: Path,
) -> None:
    place = Place.below(tmp_path)
    done = place.run_python(ENABLED, {"RAY_USAGE_STATS_ENABLED": "1"})
    assert done.output == "False\n", done.said
    assert done.network == []


@pytest.mark.skipif(
    "EDGECLF_RAY_PICTURES" not in os.environ, reason="takes a minute: make test-ray"
)
def test_a_cluster_of_our_own_reaches_nobody_outside() -> None:
    # Not pytest's folder: Ray's sockets lie in it, and their names must be short.
    with tempfile.TemporaryDirectory(prefix="ray") as folder:
        look_at_a_run(Place.below(Path(folder)))


def look_at_a_run(place: Place) -> None:
    furnish(place)
    (place.work / "model.tflite").write_bytes(models.own())
    options = ("--model", "model.tflite", "--output", "labels", "--workers", "1")
    done = place.run("label", "photos", *options, "--engine", "ray")
    if "timed out during startup" in done.said:
        pytest.skip("Ray gives a cluster 30 s to start, and this machine is too busy")
    assert done.status == 0, done.said
    hosts = {host for host, _ in addresses(done.network)}
    own = {host for host in hosts if host.startswith(("127.", "/"))}
    assert hosts - own <= OWN_CLOUD | OWN_ADDRESS
    # Ray's own: a token for clusters that want one, and the logs of the run.
    assert {path for path in files_below(place.home) if not path.startswith(CACHE)} <= {
        ".ray/auth_token"
    }
    assert {path.split("/")[0] for path in files_below(place.temporary)} <= {"ray"}
