"""The page that says what the model is, and its downloads."""

from __future__ import annotations

import re
from functools import partial
from typing import Any, NamedTuple
from urllib.parse import quote

from fastapi import APIRouter
from markupsafe import Markup
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from edgeclf.web.chosen import Chosen, chosen_model
from edgeclf.web.loaded_model import LoadedModel
from edgeclf.web.service import Service

_DAY_S = 86_400
_MODEL, _LABELS, _REPORT = "Model (.tflite)", "Labels (.txt)", "Report (.html)"
_HIDDEN = {"reproduce"}  # the command, which names folders; the versions are shown
# The same in a report, with its line in the contents.
_COMMAND = re.compile(
    rb'<section id="reproduce".*?</section>|<li><a href="#reproduce">.*?</li>', re.S
)


class Download(NamedTuple):
    """A file to take along.

    Attributes:
        href: Where it is.
        title: What it is, for people.
    """

    href: str
    title: str


def router(service: Service) -> APIRouter:
    """Return the routes."""
    routes = APIRouter(include_in_schema=False)

    @routes.get("/model")
    def page(request: Request) -> Response:
        chosen = chosen_model(request.query_params, service)
        described = {} if chosen.model is None else _described(chosen.model)
        return service.templates.TemplateResponse(
            request,
            "model.html",
            {
                "model": chosen.model,
                "chosen": chosen,
                "downloads": _downloads(chosen),
                **described,
            },
        )

    @routes.get("/model/model.tflite")
    def file() -> Response:
        model = _needed(service)
        return attached(model.content, model.name, "application/octet-stream")

    @routes.get("/model/labels.txt")
    def labels() -> Response:
        return attached_labels(_needed(service))

    @routes.get("/model/report.html")
    def report() -> Response:
        model = _needed(service)
        content, name = _report_page(model)
        return attached(content, name, "text/html; charset=utf-8")

    @routes.get("/model/model.json")
    def values() -> Response:
        model = _needed(service)
        content, name = _report_values(model)
        return attached(content, name, "application/json")

    @routes.get("/model/figures.css")
    def style() -> Response:
        from edgeclf.report.style import FIGURES

        return _asset(FIGURES, "text/css")

    @routes.get("/model/sort.js")
    def script() -> Response:
        from edgeclf.report.document import SCRIPT

        return _asset(SCRIPT, "text/javascript")

    return routes


def attached(content: bytes, name: str, media_type: str) -> Response:
    """Return an answer that the browser keeps as a file.

    Args:
        content: Of the file.
        name: Of the file, whatever letters are in it.
        media_type: Such as `application/octet-stream`.
    """
    return Response(
        content,
        media_type=media_type,
        headers={
            "Content-Disposition": disposition(name),
            "X-Content-Type-Options": "nosniff",
            "Cache-Control": "no-cache",
        },
    )


def attached_labels(model: LoadedModel) -> Response:
    """Return the labels of a model as `labels.txt`.

    Raises:
        HTTPException: It has none.
    """
    if model.classifier.labels is None:
        raise HTTPException(404, f"Expected labels. Received: {model.name} has none.")
    content = "".join(f"{label}\n" for label in model.classifier.labels)
    return attached(content.encode(), "labels.txt", "text/plain; charset=utf-8")


def disposition(name: str) -> str:
    """Return the header that names a download.

    Older readers get the ASCII letters of the name.

    Source: RFC 6266, section 5 and appendix D.
    """
    name = name.encode("utf-8", "replace").decode()
    plain = "".join(
        letter if " " <= letter < "\x7f" and letter not in '"\\%;/' else "_"
        for letter in name
    )
    return f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(name, safe='')}"


def _described(model: LoadedModel) -> dict[str, Any]:
    from edgeclf.web.model_report import by_report

    return by_report(model, partial(_parts, model))


def _parts(model: LoadedModel, report: dict[str, Any]) -> dict[str, Any]:
    """Return what the template shows, as parts of the report."""
    # Imported here: many who serve never ask for this page.
    from edgeclf.report.page import sections
    from edgeclf.report.performance import headline
    from edgeclf.report.tags import tag_headline

    head = (tag_headline if model.classifier.multi_label else headline)(report)
    drawn = [part for part in sections(report, {}) if part.key not in _HIDDEN]
    has_figures = {"classes", "tags"} & {part.key for part in drawn}
    return {
        "architecture": report["model"].get("architecture"),
        "created": (report.get("created") or "")[:16].replace("T", " "),
        "versions": sorted((report.get("versions") or {}).items()),
        "headline": None if head is None else Markup(head),  # noqa: S704 - escaped
        "sections": [
            (part.key, part.title, Markup(part.content))  # noqa: S704 - likewise
            for part in drawn
        ],
        "names": None if has_figures else _names(model),
    }


def _names(model: LoadedModel) -> list[tuple[str, str | None]] | None:
    """Return each label, and from which score on a tag is given."""
    labels = model.classifier.labels
    if labels is None:
        return None
    if not model.classifier.multi_label:
        return [(label, None) for label in labels]
    thresholds = model.classifier.thresholds
    return [
        (label, f"{least:.3f}") for label, least in zip(labels, thresholds, strict=True)
    ]


def _downloads(chosen: Chosen) -> list[Download]:
    if chosen.model is None:
        return []
    if not chosen.project:
        return _own_downloads(chosen.model)
    return [
        Download(f"{chosen.api}/model.tflite", _MODEL),
        Download(f"{chosen.api}/labels.txt", _LABELS),
        Download(f"{chosen.api}/report.html", _REPORT),
    ]


def _own_downloads(model: LoadedModel) -> list[Download]:
    from edgeclf.web.model_report import report_ending

    offered = [Download("/model/model.tflite", _MODEL)]
    if model.classifier.labels is not None:
        offered.append(Download("/model/labels.txt", _LABELS))
    if report_ending(model) is not None:
        offered.append(Download("/model/report.html", _REPORT))
        offered.append(Download("/model/model.json", "Figures (.json)"))
    return offered


def _report_page(model: LoadedModel) -> tuple[bytes, str]:
    from edgeclf.evaluation.report_files import beside

    page = beside(model.path, _known_ending(model))
    try:
        return _COMMAND.sub(b"", page.read_bytes()), page.name
    except FileNotFoundError:  # it was there a moment ago
        raise _no_report(model) from None


def _report_values(model: LoadedModel) -> tuple[bytes, str]:
    from edgeclf.evaluation.report_files import beside, read_values, report_json
    from edgeclf.web.model_report import without_command

    page = beside(model.path, _known_ending(model))
    report = read_values(page)
    if report is None:
        raise _no_report(model)
    report = without_command(report)
    # Bytes of file names that are not UTF-8 become escapes of JSON, `\udcff`.
    content = (report_json(report) + "\n").encode(errors="backslashreplace")
    return content, page.with_suffix(".json").name


def _known_ending(model: LoadedModel) -> str:
    from edgeclf.web.model_report import report_ending

    ending = report_ending(model)
    if ending is None:
        raise _no_report(model)
    return ending


def _no_report(model: LoadedModel) -> HTTPException:
    return HTTPException(
        404,
        f"Expected a report on {model.name} beside it. Received: none of this file. "
        "edgeclf retrain and edgeclf evaluate write one.",
    )


def _needed(service: Service) -> LoadedModel:
    if service.model is None:
        raise HTTPException(
            404, "Expected a model. Received: none was given to serve with --model."
        )
    return service.model


def _asset(content: str, media_type: str) -> Response:
    """Return what belongs to the page and changes only with the version."""
    headers = {"Cache-Control": f"max-age={_DAY_S}"}
    return Response(content, media_type=media_type, headers=headers)
