"""Train on a folder of pictures. Needs the extra: `pip install "edgeclf[train]"`."""

from edgeclf.errors import MissingExtraError

try:
    from edgeclf.training.config import RetrainConfig
    from edgeclf.training.retrain import RetrainResult, retrain
except ImportError as error:
    if error.name is None or error.name.split(".")[0] == "edgeclf":
        raise
    raise MissingExtraError(
        f"Training needs the package {error.name}. "
        'Install it with: pip install "edgeclf[train]"'
    ) from error

__all__ = ["RetrainConfig", "RetrainResult", "retrain"]
