"""What all pages and the API share while the server runs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from edgeclf.web.engine import Engine
from edgeclf.web.loaded_model import LoadedModel
from edgeclf.web.settings import WebSettings

if TYPE_CHECKING:
    from starlette.templating import Jinja2Templates

    from edgeclf.web.teach.workshop import Workshop


@dataclass(frozen=True)
class Service:
    """What all pages and the API share.

    Attributes:
        settings: Of the command.
        engine: Where pictures are worked on.
        model: That was given; None: one has to be taught first.
        templates: Of the pages.
        workshop: What can be taught; None: nothing.
    """

    settings: WebSettings
    engine: Engine
    model: LoadedModel | None
    templates: Jinja2Templates
    workshop: Workshop | None = None
