"""Train on a folder of pictures. Needs the extra: `pip install "edgeclf[train]"`."""

from importlib.util import find_spec

from edgeclf.errors import MissingExtraError

for _package in ("ai_edge_quantizer", "scipy", "tensorboardX", "threadpoolctl", "tqdm"):
    if find_spec(_package) is None:  # now, and not after the first hour of work
        raise MissingExtraError(
            f"Training needs the package {_package}. "
            'Install it with: pip install "edgeclf[train]"'
        )

from edgeclf.training.config import RetrainConfig  # noqa: E402
from edgeclf.training.retrain import RetrainResult, retrain  # noqa: E402

__all__ = ["RetrainConfig", "RetrainResult", "retrain"]
