"""What the web app is told when it starts."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

HOST = "127.0.0.1"
PORT = 8000
MAX_MB = 64  # of one request's body
MAX_IMAGES = 64  # of one request
TIMEOUT_S = 60.0  # of one request, its body included
QUEUE = 128  # pictures that wait for a worker; more are told to come again
TOKEN_VARIABLE = "EDGECLF_TOKEN"  # noqa: S105 - its name


@dataclass(frozen=True)
class WebSettings:
    """How the web app runs.

    Attributes:
        host: Address that is listened on.
        port: That is listened on; 0: any that is free.
        teach: Folder of projects; None: nothing can be taught.
        chat_url: Base address of a server that speaks the OpenAI chat API, such as
            `http://localhost:11434/v1`; None: no chat.
        chat_model: What that server calls the model; None: the first that it has.
        allow_remote: Whether a host that others can reach is meant.
        token: That others must know; None: nobody is asked.
        no_auth: Whether nobody is asked on purpose.
        hostnames: By which the server is asked for, beside its own.
        allow_private: Whether addresses of pictures may be private ones.
        top_k: Labels of an answer by default; None: 5, of tags all above their
            thresholds.
        reject: Whether pictures that are like no class are `unknown`.
        workers: Pictures that are worked on at a time.
        queue: Pictures that may wait for that.
        max_mb: Largest body of a request, MB (10^6 bytes).
        max_images: Most pictures of a request.
        timeout_s: Longest that a request may take, its body included.
        architecture: Backbone of what is taught, as for `retrain`.
    """

    host: str = HOST
    port: int = PORT
    teach: Path | None = None
    chat_url: str | None = None
    chat_model: str | None = None
    allow_remote: bool = False
    token: str | None = field(default=None, repr=False)
    no_auth: bool = False
    hostnames: tuple[str, ...] = ()
    allow_private: bool = False
    top_k: int | None = None
    reject: bool = False
    workers: int = 2
    queue: int = QUEUE
    max_mb: int = MAX_MB
    max_images: int = MAX_IMAGES
    timeout_s: float = TIMEOUT_S
    architecture: str | None = None
