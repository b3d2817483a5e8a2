r"""Serve a model to browsers and programs.

```
edgeclf serve --model model.tflite
```
"""

from __future__ import annotations

import argparse
import logging
import os
import signal
import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from edgeclf.classifier import DEFAULT_TOP_K
from edgeclf.console import INTERRUPTED, Parser, run
from edgeclf.errors import ModelError
from edgeclf.interpreter import num_processors
from edgeclf.labelling.arguments import (
    add_model_options,
    check_input_size,
    model_arguments,
    positive,
    seconds,
    usage_errors,
    workers,
)
from edgeclf.training_extra import check_packages
from edgeclf.web import settings as defaults
from edgeclf.web.settings import TOKEN_VARIABLE, WebSettings
from edgeclf.web.web_extra import require

if TYPE_CHECKING:
    from edgeclf.web.loaded_model import LoadedModel

logger = logging.getLogger("edgeclf")

# What is said after Ctrl-C.
AFTER = "The same command serves again."
AFTER_TEACHING = (
    "Pictures and models stay. The same command goes on; a training that was under "
    "way is to be begun again."
)
MOST_WORKERS = 8  # by default: more wait for each other at the interpreter


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command.

    Args:
        argv: The arguments. Default: those of the process.

    Returns:
        0 after SIGTERM, 130 after Ctrl-C, 1 when the model, a file or the port is at
        fault. (2, as `SystemExit`, for wrong usage.)
    """
    parser = _parser()
    options = parser.parse_args(argv)
    with usage_errors(parser):
        _check(options)
    return run(
        lambda: _run(parser, options), AFTER_TEACHING if options.teach else AFTER
    )


def _run(parser: argparse.ArgumentParser, options: argparse.Namespace) -> int:
    require()
    # Here: `--help` and a wrong option need none of it.
    from edgeclf.web.access import checked_access
    from edgeclf.web.app import create_app
    from edgeclf.web.server import address, check_certificate, listen, serve

    with usage_errors(parser):
        token = checked_access(options, os.environ)
        if options.teach is not None:
            check_packages()
            _check_backbone(options.architecture)
    if options.certificate is not None:
        check_certificate(options.certificate, options.key)
    settings = _settings(options, token)
    go_on = AFTER_TEACHING if settings.teach else AFTER
    with ExitStack() as stack:
        model = _opened(parser, options, stack)
        listening = stack.enter_context(listen(settings.host, settings.port))
        app = create_app(settings, model)
        url = address(listening, settings.host, secure=options.certificate is not None)
        name = f"projects in {settings.teach}" if model is None else model.name
        logger.info("Serving %s on %s", name, url)
        for hint in _hints(settings, model):
            logger.info("%s", hint)
        received = serve(
            app,
            listening,
            certificate=options.certificate,
            key=options.key,
            verbose=options.verbose,
        )
    if received == signal.SIGINT:  # the usual way to end it
        logger.info("Stopped. %s", go_on)
        return INTERRUPTED
    return 0


def _opened(
    parser: argparse.ArgumentParser, options: argparse.Namespace, stack: ExitStack
) -> LoadedModel | None:
    """Return the model; None without one."""
    if options.model is None:
        return None
    from edgeclf.web.loaded_model import LoadedModel

    arguments = model_arguments(options)
    with usage_errors(parser):
        model = LoadedModel(Path(options.model), options.labels, arguments)
        stack.callback(model.close)
        classifier = model.classifier
        check_input_size(options, classifier.input_size)
        if options.top_k is not None and options.top_k > classifier.num_classes:
            raise ValueError(
                f"Expected --top_k of at most {classifier.num_classes}, as many as the "
                f"model has labels. Received: {options.top_k}."
            )
    if options.reject and not classifier.info.record.get("reject"):
        logger.info("--reject has no effect: the model has no limit for unknown.")
    elif options.reject and classifier.has_reject_rule:
        import numpy as np

        classifier.examine(np.zeros((1, 1, 3), np.uint8))  # loads it, checks the rule
    return model


def _check(options: argparse.Namespace) -> None:
    """Refuse values that the options' types let through.

    Raises:
        ValueError: A value is outside its range, or options do not fit.
    """
    if options.model is None and options.teach is None:
        raise ValueError(
            "Expected --model FILE.tflite, or --teach DIR to teach one first. "
            "Received: neither."
        )
    if options.model is None and options.labels is not None:
        raise ValueError("Expected --labels only with --model.")
    if options.delegate_options and options.delegate is None:
        raise ValueError("Expected --delegate_options only with --delegate.")
    if options.architecture is not None and options.teach is None:
        raise ValueError("Expected --architecture only with --teach.")
    if options.chat_model is not None and options.chat_url is None:
        raise ValueError("Expected --chat_model only with --chat_url.")
    if options.chat_url is not None:
        _check_url(options.chat_url)
        _check_no_secret(options.chat_url)
    if (options.certificate is None) != (options.key is None):
        raise ValueError(
            "Expected --certificate and --key together, for https. "
            "Received: one of them."
        )


def _check_backbone(architecture: str | None) -> None:
    """Refuse now what is no backbone, as far as that is seen quickly.

    Raises:
        ValueError: There is none of this name.
        EdgeclfError, OSError: The file is none.
    """
    if architecture is None:
        return
    # Here: who teaches with the default needs none of it.
    from edgeclf.interpreter import load_model
    from edgeclf.network import named_errors
    from edgeclf.zoo.load import read_architecture

    content = read_architecture(architecture)
    if content is not None:
        with named_errors(architecture):
            shapes = [each["shape"] for each in load_model(content).get_input_details()]
            if [*map(len, shapes)] != [4]:
                raise ModelError(
                    "Expected a model with one input, an image. Received: "
                    f"{len(shapes)} inputs, of shape {', '.join(map(str, shapes))}."
                )


def _check_url(url: str) -> None:
    try:
        parts = urlsplit(url)
        is_address = parts.scheme in ("http", "https") and bool(parts.hostname)
        parts.port  # noqa: B018 - raises when it is no number of a port
    except ValueError:
        is_address = False
    if not is_address:
        raise ValueError(
            "Expected --chat_url, an address such as http://localhost:11434/v1. "
            f"Received: {url}"
        )


def _check_no_secret(url: str) -> None:
    parts = urlsplit(url)
    if "@" in parts.netloc or parts.query or parts.fragment:
        raise ValueError(  # it is not repeated: a key may stand in it
            "Expected --chat_url without a name, password or key in it. Received: one "
            "with a part before @ or behind ?. Put the key of the chat server into "
            "the variable EDGECLF_CHAT_KEY."
        )


def _settings(options: argparse.Namespace, token: str | None) -> WebSettings:
    return WebSettings(
        host=options.host,
        port=options.port,
        teach=options.teach,
        chat_url=options.chat_url,
        chat_model=options.chat_model,
        allow_remote=options.allow_remote,
        token=token,
        no_auth=options.no_auth,
        hostnames=tuple(options.hostname),
        allow_private=options.allow_private,
        top_k=options.top_k,
        reject=options.reject,
        workers=options.workers,
        queue=options.queue,
        max_mb=options.max_mb,
        max_images=options.max_images,
        timeout_s=options.timeout,
        architecture=options.architecture,
    )


def _hints(settings: WebSettings, model: LoadedModel | None) -> list[str]:
    """Return what else is worth knowing when the server starts."""
    hints = []
    if settings.teach is not None and model is not None:
        hints.append(f"Teach: projects are kept in {settings.teach}")
    if settings.token is not None:
        hints.append("The token is asked for: browsers get a page to log in.")
    elif settings.no_auth and settings.allow_remote:
        hints.append("Nobody is asked for a token: all who reach it may use it.")
    if settings.chat_url is not None:
        hints.append(f"Chat: what is asked is sent to {settings.chat_url}")
    return hints


def _parser() -> Parser:
    parser = Parser(
        prog="edgeclf serve",
        description="Serve a model to browsers and programs: pages to label pictures "
        "and the camera with it, an API, and with --teach pages to teach new models.",
    )
    add = parser.add_argument
    add_model_options(add, required=False)
    add("--labels", metavar="FILE", help="default: those in the model")
    add(
        "--top_k",
        type=positive,
        metavar="N",
        help=f"labels of an answer that asks for no number (default: {DEFAULT_TOP_K}; "
        "of a model of tags all above their thresholds)",
    )
    add("--reject", action="store_true", help="say unknown to what is like no class")
    _add_access(add)
    _add_pages(add)
    _add_limits(add)
    add("-v", "--verbose", action="store_true", help="log each request")
    return parser


def _add_access(add: Callable[..., Any]) -> None:
    add(
        "--host",
        type=_host,
        default=defaults.HOST,
        metavar="ADDR",
        help="address that is listened on (default: %(default)s, which only this "
        "machine reaches; 0.0.0.0: all of IPv4, :: all of IPv6 alone)",
    )
    add(
        "--port",
        type=_port,
        default=defaults.PORT,
        metavar="N",
        help="default: %(default)s; 0: any that is free",
    )
    add(
        "--allow_remote",
        action="store_true",
        help="--host may be one that others reach; asks for a token, or --no_auth",
    )
    add(
        "--token_file",
        type=Path,
        metavar="FILE",
        help="has the token in it that programs send and people log in with, in place "
        f"of {TOKEN_VARIABLE}",
    )
    add("--no_auth", action="store_true", help="ask nobody for a token")
    add(
        "--hostname",
        action="append",
        default=[],
        metavar="NAME",
        help="by which the server is asked for too, behind a proxy perhaps; can be "
        "given several times; with a token every name will do",
    )
    add("--certificate", type=Path, metavar="FILE", help="PEM file, for https")
    add("--key", type=Path, metavar="FILE", help="PEM file of its key")


def _add_pages(add: Callable[..., Any]) -> None:
    add(
        "--teach",
        type=Path,
        metavar="DIR",
        help="teach new models in the browser; pictures and models are kept there",
    )
    add(
        "--architecture",
        metavar="NAME|FILE",
        help="backbone of what is taught, as for retrain",
    )
    add(
        "--chat_url",
        metavar="URL",
        help="of a server that speaks the OpenAI chat API, such as "
        "http://localhost:11434/v1: ask it about pictures",
    )
    add("--chat_model", metavar="NAME", help="default: the first of that server")
    add(
        "--allow_private",
        action="store_true",
        help="addresses of pictures may lead to this machine and the local network",
    )


def _add_limits(add: Callable[..., Any]) -> None:
    add(
        "--workers",
        type=workers,
        default=min(num_processors(), MOST_WORKERS),
        metavar="N",
        help="pictures that are worked on at a time (default: one for each processor, "
        f"{MOST_WORKERS} at most)",
    )
    add(
        "--queue",
        type=positive,
        default=defaults.QUEUE,
        metavar="N",
        help="pictures that may wait for that; more are told to come again (default: "
        "%(default)s)",
    )
    add(
        "--max_mb",
        type=positive,
        default=defaults.MAX_MB,
        metavar="N",
        help="largest request (default: %(default)s)",
    )
    add(
        "--max_images",
        type=positive,
        default=defaults.MAX_IMAGES,
        metavar="N",
        help="most pictures of a request (default: %(default)s)",
    )
    add(
        "--timeout",
        type=_timeout,
        default=defaults.TIMEOUT_S,
        metavar="S",
        help="longest that a request may take, in seconds (default: %(default).0f)",
    )


def _host(text: str) -> str:
    return text[1:-1] if text.startswith("[") and text.endswith("]") else text


def _port(text: str) -> int:
    if not (text.isascii() and text.isdecimal()) or int(text) > 65535:
        raise argparse.ArgumentTypeError(f"expected 0 to 65535, received {text}")
    return int(text)


def _timeout(text: str) -> float:
    if (number := seconds(text)) == 0:
        raise argparse.ArgumentTypeError("expected more than 0 seconds, received 0")
    return number


if __name__ == "__main__":
    sys.exit(main())
