"""Train on a folder of pictures. Needs the extra: `pip install "edgeclf[train]"`.

Without it only the modules that do without can be imported: `edgeclf add_class` uses
views on devices that have no more than the interpreter.
"""

from typing import NoReturn

from edgeclf.training_extra import check_packages, missing_packages

__all__ = ["RetrainConfig", "RetrainResult", "retrain"]

if missing_packages():

    def __getattr__(name: str) -> NoReturn:
        """Say what is missing when a public name is asked for."""
        if name in __all__:
            check_packages()
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

else:
    from edgeclf.training.config import RetrainConfig
    from edgeclf.training.result import RetrainResult
    from edgeclf.training.retrain import retrain
