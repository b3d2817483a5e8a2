import logging

import pytest

from edgeclf import console
from edgeclf.errors import DatasetError


def parser():
    result = console.Parser(prog="x")
    result.add_argument("--top_k", type=int)
    result.add_argument("rest", nargs="*")
    return result


@pytest.mark.parametrize("spelling", [["--top-k", "3"], ["--top_k=3"], ["--top-k=3"]])
def test_hyphens_and_underscores_are_alike(spelling):
    assert parser().parse_args(spelling).top_k == 3


def test_values_and_what_follows_two_dashes_stay_as_they_are():
    options = parser().parse_args(["--top-k=3", "--", "--a-b"])
    assert options.rest == ["--a-b"]
    assert console.underscored("--name=a-b") == "--name=a-b"


@pytest.mark.parametrize(
    ("error", "status", "text"),
    [
        (DatasetError("No pictures."), 1, "error: No pictures.\n"),
        (
            FileNotFoundError(2, "No such file", "a.txt"),
            1,
            "error: a.txt: No such file.",
        ),
        (KeyboardInterrupt(), 130, "Interrupted"),
    ],
)
def test_expected_errors_are_a_sentence(capsys, error, status, text):
    def command():
        raise error

    assert console.run(command) == status
    assert text in capsys.readouterr().err


def test_messages_go_to_stderr_plainly(capsys):
    def command():
        logging.getLogger("edgeclf").info("Looking.")
        logging.getLogger("edgeclf").warning("Careful.")
        return 0

    assert console.run(command) == 0
    printed = capsys.readouterr()
    assert printed.err == "Looking.\nwarning: Careful.\n"
    assert not printed.out


def test_a_bug_is_not_hidden():
    def command():
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        console.run(command)
    assert not logging.getLogger("edgeclf").handlers


def test_one_thing_is_singular():
    assert console.number_of(1, "picture") == "1 picture"
    assert console.number_of(0, "picture") == "0 pictures"
    assert console.number_of(1, "class", "classes") == "1 class"
    assert console.number_of(1200, "class", "classes") == "1,200 classes"
