"""Which model a page uses: that of the server, or one that was taught."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import quote

from edgeclf.console import sentence
from edgeclf.errors import EdgeclfError
from edgeclf.web.loaded_model import LoadedModel
from edgeclf.web.problems import ProblemError
from edgeclf.web.service import Service

if TYPE_CHECKING:
    from edgeclf.web.teach.workshop import Workshop

PARAMETER = "project"  # of a page's address


@dataclass(frozen=True)
class Chosen:
    """The model of a page.

    Attributes:
        model: That labels; None: there is none yet.
        project: Which was trained to it; "": it is the server's own.
        choices: All that there are, the value of `PARAMETER` and a name for each.
    """

    model: LoadedModel | None
    project: str = ""
    choices: tuple[tuple[str, str], ...] = ()

    @property
    def name(self) -> str:
        """What it is called."""
        return self.project or ("" if self.model is None else self.model.name)

    @property
    def api(self) -> str:
        """Where `/classify` and `/heatmap` of it begin."""
        if not self.project:
            return "/v1"
        return f"/v1/teach/projects/{quote(self.project, safe='')}"

    @property
    def query(self) -> str:
        """What leads to it, behind the address of a page."""
        return f"?{PARAMETER}={quote(self.project, safe='')}" if self.project else ""


def chosen_model(query: Mapping[str, str], service: Service) -> Chosen:
    """Return the model that a page's address asks for.

    Without a wish it is the server's own; without one, what was trained last. It reads
    files, and may load a model.

    Args:
        query: Of the address.
        service: For its models.

    Raises:
        ProblemError: There is no such project, or it has no model (404).
    """
    wish, names = query.get(PARAMETER, ""), _trained(service.workshop)
    own = () if service.model is None else (("", service.model.name),)
    choices = (*own, *((name, name) for name in sorted(names)))
    if wish:
        return Chosen(_taught(service.workshop, wish), wish, choices)
    if service.model is None:
        for name in names:
            try:
                return Chosen(_taught(service.workshop, name), name, choices)
            except ProblemError:  # deleted this moment, or damaged
                continue
    return Chosen(service.model, "", choices)


def _trained(workshop: Workshop | None) -> list[str]:
    """Return the projects that have a model, the newest model first."""
    if workshop is None:
        return []
    from edgeclf.web.teach import trained

    times = {}
    for name in workshop.project_names():
        try:
            folder = trained.current(workshop.project(name))
            if folder is not None:
                times[name] = (folder / trained.MODEL).stat().st_mtime_ns
        except (ProblemError, OSError):  # deleted this moment
            continue
    return sorted(times, key=lambda name: times[name], reverse=True)


def _taught(workshop: Workshop | None, project: str) -> LoadedModel:
    from edgeclf.web.teach.refusals import missing

    try:
        model = None if workshop is None else workshop.model(project)
    except KeyError as error:
        raise missing("project", project) from error
    except (EdgeclfError, OSError) as error:
        raise missing("model", f"{project} ({sentence(error)})") from error
    if model is None:
        raise missing("model", project)
    return model
