"""`edgeclf COMMAND`: the table of commands; each is imported when it is asked for."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence

from edgeclf import __version__, training_extra
from edgeclf.errors import EdgeclfError

NEEDED = ("numpy", "PIL")  # by every command but doctor
INTERRUPTED = 130  # 128 + SIGINT, as a shell reports it

COMMANDS = {
    "retrain": (
        "edgeclf.training.command",
        "turn a folder of pictures into a .tflite file",
    ),
    "evaluate": (
        "edgeclf.evaluation.command",
        "measure a model on class folders or tagged pictures, write a report",
    ),
    "audit": (
        "edgeclf.audit.command",
        "find broken, double and wrongly labelled pictures before training",
    ),
    "compare": (
        "edgeclf.choosing.compare",
        "train with several backbones and settings on one split, say which to take",
    ),
    "tune": (
        "edgeclf.choosing.tune",
        "search the settings of retrain on cached bottlenecks",
    ),
    "add_class": (
        "edgeclf.adding.command",
        "teach a model one more class, on the device",
    ),
    "label_image": ("edgeclf.label_image", "label pictures with a model"),
    "label": (
        "edgeclf.scale.command",
        "label millions of pictures into Parquet, here or on a Ray cluster",
    ),
    "embed": (
        "edgeclf.embed",
        "turn pictures into vectors, compare pictures by them",
    ),
    "benchmark": (
        "edgeclf.benchmark.command",
        "say where the time goes on this machine",
    ),
    "doctor": ("edgeclf.doctor.command", "say what is missing here, and what mends it"),
    "export": (
        "edgeclf.export.command",
        "write a model as C source for microcontrollers",
    ),
    "prepare_data": (
        "edgeclf.data.prepare",
        "make class folders from a table and its pictures",
    ),
    "collect": (
        "edgeclf.collecting.command",
        "collect pictures of a query, a list or a table, with their licences",
    ),
    "augment": (
        "edgeclf.augmenting.command",
        "write changed copies of pictures that no split tears from them",
    ),
    "serve": (
        "edgeclf.web.command",
        "serve the model to browsers and programs; --teach DIR to train new ones",
    ),
    "bot": ("edgeclf.bot.command", "answer pictures in Telegram"),
    "convert": (
        "edgeclf.zoo.convert",
        "make a backbone from Keras weights, a SavedModel or a TensorFlow Hub handle",
    ),
    "demo": ("edgeclf.demo.command", "draw pictures, train on them, label one"),
}


def usage() -> str:
    """Return the list of commands."""
    width = max(map(len, COMMANDS))
    lines = [f"  {name:{width}}  {text}" for name, (_, text) in COMMANDS.items()]
    return "\n".join(
        [
            "usage: edgeclf COMMAND [OPTION ...]",
            "",
            *lines,
            "",
            "`edgeclf COMMAND --help` lists a command's options.",
        ]
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command that the first argument names; return its exit status."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    if arguments in ([], ["-h"], ["--help"]):
        print(usage(), file=sys.stdout if arguments else sys.stderr)
        return 0 if arguments else 2
    if arguments == ["--version"]:
        print(f"edgeclf {__version__}")
        return 0
    name = arguments[0].replace("-", "_")
    if name not in COMMANDS:
        print(usage(), file=sys.stderr)
        print(
            f"error: Expected one of these commands. Received: {arguments[0]}",
            file=sys.stderr,
        )
        return 2
    try:
        module = importlib.import_module(COMMANDS[name][0])
    except EdgeclfError as error:  # an extra is missing
        print(f"error: {error}", file=sys.stderr)
        return 1
    except ModuleNotFoundError as error:
        if error.name in NEEDED:
            mends = "`edgeclf doctor` prints the line that installs what is missing."
        elif error.name in training_extra.PACKAGES:
            mends = 'install it with: pip install "edgeclf[train]"'
        else:
            raise
        print(f"error: Expected {error.name} to be installed; {mends}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("error: Interrupted.", file=sys.stderr)
        return INTERRUPTED
    try:
        return int(module.main(arguments[1:]))
    except KeyboardInterrupt:  # while options are parsed
        print("error: Interrupted.", file=sys.stderr)
        return INTERRUPTED


if __name__ == "__main__":
    sys.exit(main())
