r"""Write a model in another form: C source for microcontrollers.

```
edgeclf export model.tflite --output firmware/
```
"""

from __future__ import annotations

import argparse
import logging
import re
import sys
from collections.abc import Sequence
from pathlib import Path

from edgeclf.console import Parser, run
from edgeclf.export.c_array import c_header, c_source
from edgeclf.export.micro_model import micro_model
from edgeclf.files import encoded, sweep, write_together
from edgeclf.labelling.arguments import add_trust_options, trust_arguments
from edgeclf.labels import check_number, given_labels
from edgeclf.network import named_errors
from edgeclf.tflite.source import max_model_bytes, read_model

logger = logging.getLogger("edgeclf")

FORMATS = ("c_array",)
DEFAULT_NAME = "g_model"
ENDINGS = (".cc", ".cpp", ".c")

_IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
# Source: C17 6.4.1, C++20 [lex.key].
_KEYWORD = re.compile(
    r"_Alignas|_Alignof|_Atomic|_Bool|_Complex|_Generic|_Imaginary|_Noreturn|"
    r"_Static_assert|_Thread_local|alignas|alignof|and|and_eq|asm|auto|"
    r"bitand|bitor|bool|break|case|catch|char|char16_t|char32_t|char8_t|"
    r"class|co_await|co_return|co_yield|compl|concept|const|const_cast|"
    r"consteval|constexpr|constinit|continue|decltype|default|delete|do|"
    r"double|dynamic_cast|else|enum|explicit|export|extern|false|float|for|"
    r"friend|goto|if|inline|int|long|mutable|namespace|new|noexcept|not|"
    r"not_eq|nullptr|operator|or|or_eq|private|protected|public|register|"
    r"reinterpret_cast|requires|restrict|return|short|signed|sizeof|static|"
    r"static_assert|static_cast|struct|switch|template|this|thread_local|"
    r"throw|true|try|typedef|typeid|typename|union|unsigned|using|virtual|"
    r"void|volatile|wchar_t|while|xor|xor_eq"
)


def main(argv: Sequence[str] | None = None) -> int:
    """Export a model; the names of the files go to stdout.

    Args:
        argv: The arguments. Default: those of the process.

    Returns:
        0, or 1 when the model or a file is at fault. (2, as `SystemExit`, for wrong
        usage.)
    """
    options = _parser().parse_args(argv)
    return run(
        lambda: _export(options),
        "Nothing half-written is left. The same command begins anew.",
    )


def _export(options: argparse.Namespace) -> int:
    source = source_path(options.output, options.name)
    for path in export_c_array(
        options.model,
        source,
        options.name,
        options.labels,
        **trust_arguments(options),
    ):
        print(path)
    return 0


def source_path(output: Path, name: str) -> Path:
    """Return the C file that `--output` stands for: itself, or one in that folder."""
    if output.suffix in ENDINGS and not output.is_dir():
        return output
    return output / f"{name}{ENDINGS[0]}"


def export_c_array(
    model: Path,
    source: Path,
    name: str = DEFAULT_NAME,
    labels: Path | None = None,
    *,
    sha256: str | None = None,
    max_model_mb: int | None = None,
) -> tuple[Path, Path]:
    """Write a model as C source and header; what is odd about it is logged.

    Args:
        model: The `.tflite` file.
        source: The C or C++ file to write; the header goes beside it.
        name: A C identifier: of the array, and what other names begin with.
        labels: A file of labels, one a line. Default: the model's own.
        sha256: As for `Classifier`.
        max_model_mb: As for `Classifier`.

    Returns:
        The header's path and `source`.

    Raises:
        FileNotFoundError: There is no such model or file of labels.
        ModelError: The model is damaged, no image classifier, or has another sum.
        LabelError: The number of labels is not the number of classes.
        OSError: A file cannot be written.
    """
    _, content = read_model(model, sha256, max_model_mb)
    with named_errors(str(model)):
        exported = micro_model(content, max_model_bytes(max_model_mb))
    names, place = exported.info.labels, "the file itself"
    if labels is not None:
        names, place = given_labels(labels)
    if names is not None:
        check_number(names, exported.num_classes, str(model), place)
    for problem in exported.problems:
        logger.warning("%s: %s", model, problem)
    header = source.with_suffix(".h")
    sweep(source.parent)
    write_together(
        {
            header: encoded(c_header(exported, names, name)),
            source: encoded(c_source(exported, names, name, header.name)),
        }
    )
    return header, source


def _parser() -> Parser:
    parser = Parser(
        prog="edgeclf export",
        description="Write a model as C source for TensorFlow Lite Micro.",
    )
    add = parser.add_argument
    add("model", type=Path, metavar="MODEL", help="the .tflite file")
    add("--format", choices=FORMATS, default=FORMATS[0], help="default: %(default)s")
    add(
        "--output",
        type=_output,
        default=Path(),
        metavar="PATH",
        help="a folder, or a file ending in .cc, .cpp or .c; the header goes beside it "
        "(default: this folder)",
    )
    add(
        "--name",
        type=_identifier,
        default=DEFAULT_NAME,
        help="of the array, and what other names begin with (default: %(default)s)",
    )
    add(
        "--labels",
        type=Path,
        metavar="FILE",
        help="names of the classes, if not the model's own",
    )
    add_trust_options(add)
    return parser


def _output(text: str) -> Path:
    path = Path(text)
    if path.suffix in (".h", ".hpp", ".tflite") and not path.is_dir():
        raise argparse.ArgumentTypeError(
            f"expected a folder, or a file ending in {', '.join(ENDINGS)}; "
            f"received {text}"
        )
    return path


def _identifier(text: str) -> str:
    if not _IDENTIFIER.fullmatch(text) or _KEYWORD.fullmatch(text):
        raise argparse.ArgumentTypeError(f"expected a C identifier, received {text}")
    return text


if __name__ == "__main__":
    sys.exit(main())
