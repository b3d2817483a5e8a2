"""All projects of a folder, and what they were trained to."""

from __future__ import annotations

import os
import shutil
import threading
from collections import OrderedDict
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from edgeclf import files
from edgeclf.errors import DatasetError, EdgeclfError
from edgeclf.inputs.paths import IMAGE_ENDINGS, is_passed_over
from edgeclf.web.loaded_model import LoadedModel
from edgeclf.web.teach import trained
from edgeclf.web.teach.names import check_unlike, folder_names, new_project_name
from edgeclf.web.teach.pictures import Thumbnails
from edgeclf.web.teach.project import OURS, Project, remove
from edgeclf.web.teach.refusals import conflict, missing, taken
from edgeclf.web.teach.training import Trainer

MOST_LOADED = 3  # models in memory, some MB each; others are loaded when asked for
_TRASH = ".edgeclf-deleted"


class Workshop:
    """Projects in a folder: each is a folder of class folders.

    A folder that is a dataset itself, with pictures right in most of the folders that
    it has, is the only project, under its own name. Only one server may use a folder.

    Args:
        folder: Of the projects; made if it is not there.
        architecture: Backbone, as for `retrain`.

    Attributes:
        folder: See above.
        architecture: See above.
        is_single: Whether the folder is the only project.
        trainer: Trains projects.
        thumbnails: Small pictures of all.

    Raises:
        DatasetError: Another server has the folder, or training is not installed.
        OSError: The folder cannot be made or written to.
    """

    def __init__(self, folder: Path, architecture: str | None = None) -> None:
        self.folder = folder
        self.architecture = architecture
        if folder.exists() and not folder.is_dir():
            raise NotADirectoryError(
                f"Expected a folder of projects. Received: {folder}, which is a file."
            )
        folder.mkdir(parents=True, exist_ok=True)
        files.check_writable(folder / ".edgeclf.part")
        self._descriptor = _locked(folder)
        self.is_single = _is_dataset(folder)
        self.trainer = Trainer(architecture, self._load_model)
        self.thumbnails = Thumbnails()
        self._projects: dict[str, Project] = {}
        self._models: OrderedDict[str, LoadedModel] = OrderedDict()
        self._lock = threading.RLock()
        self._clean()

    def project_names(self) -> list[str]:
        """Return the projects, in code point order."""
        if self.is_single:
            return [self.folder.resolve().name]
        return folder_names(self.folder)

    def project(self, name: str) -> Project:
        """Return a project.

        Raises:
            ProblemError: There is none of this name.
        """
        if name not in self.project_names():
            raise missing("project", name)
        with self._lock:
            if name not in self._projects:
                folder = self.folder if self.is_single else self.folder / name
                self._projects[name] = Project(folder)
            return self._projects[name]

    def add_project(self, name: str) -> Project:
        """Make a project.

        Raises:
            ProblemError: The name cannot be one or is taken, or the folder is the only
                project.
            OSError: It cannot be made.
        """
        name = new_project_name(name)
        self._check_many("make others in")
        with self._lock:
            check_unlike(name, self.project_names())
            if os.path.lexists(self.folder / name):
                raise taken(name)
            (self.folder / name / OURS).mkdir(parents=True)
            return self.project(name)

    def delete_project(self, name: str) -> None:
        """Delete a project with its pictures; of a link only the link.

        Raises:
            ProblemError: There is none of this name, or the folder is the only project.
            OSError: It cannot be deleted.
        """
        project = self.project(name)
        self._check_many("delete")
        self.trainer.forget(project)
        with self._lock, project.lock:
            remove(project.folder, self.folder / _TRASH)
            self._projects.pop(name, None)
            self._models.pop(name, None)
        shutil.rmtree(self.folder / _TRASH, ignore_errors=True)

    def model(self, project: str) -> LoadedModel | None:
        """Return the model that a project was trained to, loaded; None without one.

        It stays loaded until a newer one takes its place, others are used, or `close`.
        Who has it may go on using it: its memory is given back when nobody does.

        Raises:
            KeyError: There is no such project.
            EdgeclfError: It cannot be loaded.
        """
        if project not in self.project_names():
            raise KeyError(project)
        folder = trained.current(self.project(project))
        if folder is None:
            return None
        with self._lock:
            loaded = self._models.get(project)
            if loaded is None or loaded.path.parent != folder:
                loaded = _loaded(folder / trained.MODEL)
                self._models[project] = loaded
            self._models.move_to_end(project)
            while len(self._models) > MOST_LOADED:
                self._models.popitem(last=False)
            return loaded

    def close(self) -> None:
        """End a training; it can be begun again, and nothing is lost."""
        self.trainer.close()
        with self._lock:
            self._models.clear()
            if self._descriptor >= 0:
                os.close(self._descriptor)
                self._descriptor = -1

    def _load_model(self, project: Project) -> None:
        """Load the new model of a project now: the next picture need not wait."""
        try:
            self.model(project.name)
        except (EdgeclfError, OSError, KeyError):  # said to who asks for it
            return

    def _check_many(self, doing: str) -> None:
        if self.is_single:
            raise conflict(
                "Expected a server that teaches in a folder of projects, to "
                f"{doing} it. Received: {self.folder.resolve().name}, which is a "
                "folder of class folders itself: the only project."
            )

    def _clean(self) -> None:
        shutil.rmtree(self.folder / _TRASH, ignore_errors=True)
        for name in self.project_names():
            project = self.project(name)
            project.clean()
            trained.clean(project)


def _locked(folder: Path) -> int:
    """Lock a folder until the descriptor that is returned is closed.

    Raises:
        DatasetError: Another server has it, or the folder that it lies in, or one of
            its projects.
        OSError: It cannot be opened.
    """
    descriptor = os.open(folder, os.O_RDONLY)
    near = (folder.resolve().parent, *_folders(folder))
    taken_one = folder if not files.lock(descriptor) else _first_locked(near)
    if taken_one is not None:
        os.close(descriptor)
        raise DatasetError(
            f"Expected to be the only server that teaches in {folder}. Received: "
            f"another one has {'it' if taken_one == folder else taken_one}. End that "
            "one, or give another folder."
        )
    return descriptor


def _first_locked(folders: Iterable[Path]) -> Path | None:
    for folder in folders:
        with suppress(OSError):  # one that cannot be read, nobody teaches in
            descriptor = os.open(folder, os.O_RDONLY)
            try:
                if not files.lock(descriptor, shared=True):
                    return folder
            finally:
                os.close(descriptor)
    return None


def _loaded(path: Path) -> LoadedModel:
    return LoadedModel(path)


def _is_dataset(folder: Path) -> bool:
    """Return whether a folder is one of class folders rather than of projects.

    It is if it was taught in as one before. Otherwise it is if no folder of it was
    taught in before, and most of those with pictures have more of them right in
    themselves than in folders of their own.
    """
    if (folder / OURS).is_dir():
        return True
    below = _folders(folder)
    if any((path / OURS).is_dir() for path in below):
        return False
    votes = 0
    for path in below:
        own = _num_pictures(path)
        deeper = sum(map(_num_pictures, _folders(path)))
        if own or deeper:
            votes += 1 if own > deeper else -1
    return votes > 0


def _folders(folder: Path) -> list[Path]:
    with suppress(OSError):
        return [
            path
            for path in folder.iterdir()
            if not is_passed_over(path.name) and path.is_dir()
        ]
    return []


def _num_pictures(folder: Path) -> int:
    with suppress(OSError):
        return sum(
            path.suffix.lower() in IMAGE_ENDINGS and not is_passed_over(path.name)
            for path in folder.iterdir()
        )
    return 0
