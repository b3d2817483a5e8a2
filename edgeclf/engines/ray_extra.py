"""The extra `[ray]`: say how to install it where it is missing."""

from __future__ import annotations

import importlib
import logging
import os
from typing import Any

from edgeclf.errors import MissingExtraError

# Read by Ray when it is imported: it reports to nobody, and writes nothing beside our
# line of progress.
QUIET = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_DATA_DISABLE_PROGRESS_BARS": "1",
    "RAY_BACKEND_LOG_LEVEL": "fatal",
    "RAY_DEDUP_LOGS": "1",
    "RAY_DEDUP_LOGS_SKIP_REGEX": "^",  # every line: it would print to stdout
}


def require() -> Any:
    """Import Ray and Ray Data, quiet and without telemetry; return the module `ray`.

    Raises:
        MissingExtraError: It is not installed.
    """
    os.environ.update(QUIET)
    try:
        importlib.import_module("ray.data")
    except ImportError as error:
        raise MissingExtraError(
            f"Expected ray[data], which spreads the work ({error}). "
            'Install it with: pip install "edgeclf[ray]"'
        ) from error
    # What goes wrong comes back as an error; the rest is in Ray's own log files.
    for name in ("ray", "ray.data"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    return importlib.import_module("ray")
