"""All projects of a folder, and the training that runs."""

from __future__ import annotations

from pathlib import Path

from edgeclf.web.loaded_model import LoadedModel


class Workshop:
    """Projects in a folder: each is a folder of class folders.

    Args:
        folder: Of the projects; made if it is not there.
        architecture: Backbone, as for `retrain`.
    """

    def __init__(self, folder: Path, architecture: str | None = None) -> None:
        self.folder = folder
        self.architecture = architecture

    def model(self, project: str) -> LoadedModel | None:
        """Return the model that a project was trained to, loaded; None without one.

        It stays loaded until a newer one takes its place or `close`.

        Raises:
            KeyError: There is no such project.
        """
        raise NotImplementedError

    def close(self) -> None:
        """End a training; it can be begun again, and nothing is lost."""
        raise NotImplementedError
