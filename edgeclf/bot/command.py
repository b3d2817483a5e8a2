r"""Answer pictures in Telegram with a model.

```
EDGECLF_TELEGRAM_TOKEN=... edgeclf bot --model tags.tflite
```
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from edgeclf.bot import settings as defaults
from edgeclf.bot.errors import BotError
from edgeclf.bot.logs import discreet
from edgeclf.bot.settings import (
    TOKEN_VARIABLE,
    BotSettings,
    Webhook,
    default_state_dir,
    is_token,
    read_token,
    read_webhook_secret,
)
from edgeclf.bot.telegram_extra import require
from edgeclf.console import Parser, run
from edgeclf.labelling.arguments import (
    add_model_options,
    check_input_size,
    model_arguments,
    positive,
    usage_errors,
    workers,
)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; return its exit status.

    Args:
        argv: The arguments. Default: those of the process.

    Returns:
        0 after SIGTERM, 130 after Ctrl-C, 1 when the token, the model or a folder are
        at fault. (2, as `SystemExit`, for wrong usage.)
    """
    parser = _parser()
    options = parser.parse_args(argv)
    _check(parser, options)
    return run(
        lambda: _run(parser, options),
        "What has come is kept. The same command goes on with the answers.",
    )


def _run(parser: argparse.ArgumentParser, options: argparse.Namespace) -> int:
    require()
    token = read_token(options.token_file, os.environ)
    if token is None:
        raise BotError(
            f"Expected the bot's token in {TOKEN_VARIABLE}, or in a file that "
            "--token_file names. Received: neither. @BotFather gives it."
        )
    with usage_errors(parser):
        settings = _settings(options, token)
    with discreet(token, verbose=options.verbose):
        return _serve(parser, options, settings)


def _serve(
    parser: argparse.ArgumentParser,
    options: argparse.Namespace,
    settings: BotSettings,
) -> int:
    # Here: `--help` and a wrong option need none of it.
    import asyncio
    from contextlib import closing

    from edgeclf.bot.bot import run_bot
    from edgeclf.bot.labeller import Labeller
    from edgeclf.classifier import Classifier

    model = Path(options.model)
    with usage_errors(parser):
        classifier = Classifier(model, options.labels, **model_arguments(options))
    with classifier:
        with usage_errors(parser):
            check_input_size(options, classifier.input_size)
            _check_top_k(options.top_k, classifier.num_classes)
        with closing(
            Labeller(
                classifier,
                model.name,
                model.stat().st_size,
                workers=settings.workers,
                reject=settings.reject,
            )
        ) as labeller:
            try:
                received = asyncio.run(run_bot(settings, labeller))
            except asyncio.CancelledError:  # told to end twice
                raise KeyboardInterrupt from None
    if received == signal.SIGINT:
        raise KeyboardInterrupt
    return 0


def _check_top_k(top_k: int | None, most: int) -> None:
    if top_k is not None and top_k > most:
        raise ValueError(
            f"Expected --top_k of at most {most}, as many as the model has labels. "
            f"Received: {top_k}."
        )


def _settings(options: argparse.Namespace, token: str) -> BotSettings:
    webhook = None
    if options.webhook_url is not None:
        webhook = Webhook(
            options.webhook_url,
            options.webhook_port,
            options.webhook_listen,
            options.webhook_secret_file
            and read_webhook_secret(options.webhook_secret_file),
        )
    return BotSettings(
        token=token,
        state_dir=options.state_dir or default_state_dir(token, os.environ),
        api_url=options.api_url,
        top_k=options.top_k,
        feedback=options.feedback,
        rate=options.rate,
        max_mb=options.max_mb,
        workers=options.workers,
        reject=options.reject,
        webhook=webhook,
        delete_webhook=options.delete_webhook,
    )


def _check(parser: argparse.ArgumentParser, options: argparse.Namespace) -> None:
    """Refuse options that do not fit each other."""
    if options.webhook_url is None:
        for name in ("webhook_port", "webhook_listen", "webhook_secret_file"):
            if getattr(options, name) != parser.get_default(name):
                parser.error(f"Expected --{name} only with --webhook_url.")
    elif options.delete_webhook:
        parser.error("Expected --delete_webhook only without --webhook_url.")
    # argparse takes --token for --token_file; the error must not repeat it.
    if options.token_file is not None and is_token(str(options.token_file)):
        parser.error(
            "Expected a file with the token in it, as others can read the arguments of "
            f"a process; or the token in {TOKEN_VARIABLE}. Received: the token itself. "
            "Revoke it: send @BotFather /revoke."
        )
    if options.delegate_options and options.delegate is None:
        parser.error("Expected --delegate_options only with --delegate.")


def _parser() -> Parser:
    parser = Parser(
        prog="edgeclf bot",
        description="Answer photos, image files and albums in Telegram with hashtags "
        "(a model of tags) or labels. The bot's token is read from "
        f"{TOKEN_VARIABLE} or --token_file.",
    )
    add = parser.add_argument
    add_model_options(add)
    add("--labels", metavar="FILE", help="default: those in the model")
    add(
        "--reject",
        action="store_true",
        help="say so when a picture is like none of the classes, by the model's rule",
    )
    add(
        "--token_file",
        type=Path,
        metavar="FILE",
        help=f"has the token in it, in place of {TOKEN_VARIABLE}",
    )
    add(
        "--top_k",
        type=positive,
        metavar="N",
        help=f"labels to show, until a chat says /top (default: {defaults.TOP_K}; of a "
        "model of tags all above their thresholds)",
    )
    add(
        "--feedback",
        type=Path,
        metavar="DIR",
        help="let people correct answers, and store those pictures there for retrain: "
        "--image_dir DIR, or --tags_csv DIR/tags.csv --image_dir DIR/images",
    )
    add(
        "--rate",
        type=positive,
        default=defaults.RATE,
        metavar="N",
        help="pictures of one chat in a minute (default: %(default)s)",
    )
    add(
        "--max_mb",
        type=positive,
        default=defaults.MAX_MB,
        metavar="N",
        help="largest file (default: %(default)s, the most that Telegram hands out)",
    )
    add(
        "--workers",
        type=workers,
        default=min(os.cpu_count() or 1, defaults.MAX_WORKERS),
        metavar="N",
        help="pictures that are decoded at a time (default: one for each processor, "
        f"{defaults.MAX_WORKERS} at most)",
    )
    add(
        "--state_dir",
        type=Path,
        metavar="DIR",
        help="keeps what is not answered yet (default: one for each bot)",
    )
    add(
        "--api_url",
        default=defaults.API_URL,
        metavar="URL",
        help="of the Bot API server (default: %(default)s)",
    )
    add(
        "--webhook_url",
        metavar="URL",
        help="have Telegram deliver updates to this https address (default: ask for "
        "them)",
    )
    add(
        "--webhook_port",
        type=int,
        default=defaults.PORT,
        metavar="P",
        help="that is listened on, behind what has the certificate (default: "
        "%(default)s)",
    )
    add(
        "--webhook_listen",
        default=defaults.LISTEN,
        metavar="ADDR",
        help="address that is listened on (default: %(default)s)",
    )
    add(
        "--webhook_secret_file",
        type=Path,
        metavar="FILE",
        help="has the secret that Telegram sends along (default: one is made)",
    )
    add(
        "--delete_webhook",
        action="store_true",
        help="remove the webhook that an earlier run has set, then ask for updates",
    )
    add("-v", "--verbose", action="store_true", help="log each update")
    return parser


if __name__ == "__main__":
    sys.exit(main())
