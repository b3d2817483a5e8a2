"""The extra `[ray]`: say how to install it where it is missing."""

from __future__ import annotations

import importlib
import os
from typing import Any

from edgeclf.errors import MissingExtraError

# Read by Ray when it is imported. It reports to nobody, and what it has to say goes to
# its own log files: these lines would break our line of progress.
QUIET = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_BACKEND_LOG_LEVEL": "fatal",
    "RAY_DATA_DISABLE_PROGRESS_BARS": "1",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
}


def require() -> Any:
    """Import Ray and Ray Data, quiet and without telemetry; return the module.

    Raises:
        MissingExtraError: It is not installed.
    """
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)
    os.environ["RAY_USAGE_STATS_ENABLED"] = QUIET["RAY_USAGE_STATS_ENABLED"]
    try:
        importlib.import_module("ray.data")
    except ImportError as error:
        raise MissingExtraError(
            f"Expected ray[data], which spreads the work ({error}). "
            'Install it with: pip install "edgeclf[ray]"'
        ) from error
    return importlib.import_module("ray")
