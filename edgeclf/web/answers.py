"""What the API answers, for its description: answers are not made of these."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field
from pydantic.json_schema import models_json_schema

from edgeclf.web.schemas import ClassifyRequest, PicturesRequest

_Hash = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]


class Category(BaseModel):
    """A label and its score.

    Attributes:
        index: Place in the model's output; null for `unknown`.
        label: Its name; null of a model without labels.
        score: A probability in [0, 1].
    """

    index: int | None
    label: str | None
    score: float


class Labelled(BaseModel):
    """A picture's labels, the best first.

    Attributes:
        image: The name or address that it came with, else `picture 1` by its place.
        categories: The labels.
    """

    image: str
    categories: list[Category]


class Embedded(BaseModel):
    """A picture's vector."""

    image: str
    vector: list[float]


class Failed(BaseModel):
    """Why nothing can be said of a picture."""

    image: str
    error: str


class UsedModel(BaseModel):
    """The model that answered."""

    name: str
    sha256: _Hash


class ClassifyAnswer(BaseModel):
    """The labels of each picture, in the order in which they were sent."""

    results: list[Labelled | Failed]
    model: UsedModel


class EmbedAnswer(BaseModel):
    """The vector of each picture; all are `depth` long."""

    results: list[Embedded | Failed]
    depth: int
    model: UsedModel


class ModelAnswer(UsedModel):
    """What a model file says of itself; null for what it does not.

    Attributes:
        size_bytes: Of the file.
        num_classes: Of the output.
        labels: In the order of the output.
        multi_label: Whether a picture may have several.
        thresholds: From which score on each tag is given; of tags alone.
        input_size: Height and width, pixels.
        measured: Accuracy and the like on test pictures, with its interval.
    """

    model_config = ConfigDict(extra="allow")

    size_bytes: int
    num_classes: int
    labels: list[str] | None
    multi_label: bool
    thresholds: list[float] | None = None
    input_size: list[int] | None = None
    measured: dict[str, Any] | None = None


class Health(BaseModel):
    """The server answers."""

    status: Literal["ok"]


class Problem(BaseModel):
    """Problem details, RFC 9457."""

    type: str
    title: str
    status: int
    detail: str
    results: list[Failed] | None = None


def schemas() -> dict[str, Any]:
    """Return the JSON schemas of all that goes in and out, by name."""
    models = (
        ClassifyRequest,
        PicturesRequest,
        ClassifyAnswer,
        EmbedAnswer,
        ModelAnswer,
        Health,
        Problem,
    )
    _, found = models_json_schema(
        [(model, "validation") for model in models],
        ref_template="#/components/schemas/{model}",
    )
    return dict(found["$defs"])
