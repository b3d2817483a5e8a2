"""What the API takes and gives, as its description says it."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, model_validator

MOST_LABELS = 100_000  # of an answer; a model may have as many classes
MOST_URL = 4096  # characters
MOST_NAME = 1024  # characters of a picture's name
MOST_LABEL = 255  # characters of a label in an address, where each takes up to 12

TopK = Annotated[int | None, Field(ge=1, le=MOST_LABELS)]
Share = Annotated[float | None, Field(ge=0, le=1)]


class Options(BaseModel):
    """How pictures are labelled; in the address, or in a body of JSON.

    Attributes:
        top_k: Labels at most. Default: the server's, else 5; of tags all above their
            thresholds.
        score_threshold: Least score of a label, in [0, 1].
        reject: Whether what is like no class is `unknown`. Default: the server's.
    """

    model_config = ConfigDict(extra="forbid")

    top_k: TopK = None
    score_threshold: Share = None
    reject: bool | None = None


class NoOptions(BaseModel):
    """Nothing in the address."""

    model_config = ConfigDict(extra="forbid")


class HeatMapOptions(NoOptions):
    """What a heat map shows.

    Attributes:
        label: The class, its label or its index. Default: the best.
    """

    label: Annotated[str | None, Field(max_length=MOST_LABEL)] = None


class GivenPicture(BaseModel):
    """A picture in JSON: its bytes, or where they are.

    Attributes:
        base64: The file; a `data:` URL will do.
        url: http or https.
        name: What the answer calls it.
    """

    model_config = ConfigDict(extra="forbid")

    base64: str | None = None
    url: Annotated[str | None, Field(max_length=MOST_URL)] = None
    name: Annotated[str | None, Field(max_length=MOST_NAME)] = None

    @model_validator(mode="after")
    def _one(self) -> GivenPicture:
        if (self.base64 is None) == (self.url is None):
            raise ValueError("expected base64 or url, one of them")
        return self


class PicturesRequest(BaseModel):
    """A body of JSON.

    Attributes:
        images: The pictures.
    """

    model_config = ConfigDict(extra="forbid")

    images: Annotated[list[GivenPicture], Field(min_length=1)]


class ClassifyRequest(Options, PicturesRequest):
    """A body of JSON, with options beside the pictures."""
