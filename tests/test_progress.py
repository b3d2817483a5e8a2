from __future__ import annotations

import os
import pty
import select
import subprocess
import sys
from pathlib import Path

import pytest

from edgeclf.labelling.progress import BAR_WIDTH, ERASE, progress_line

ROOT = Path(__file__).resolve().parents[1]

# What a command does: results and errors while the line is there; no second of quiet.
PROGRAM = """
import sys
from edgeclf.labelling import progress
progress.QUIET_S = progress.REDRAW_S = 0.0
total = eval(sys.argv[1])
with progress.Progress(total) as line:
    for number in range(3):
        with line.hidden(sys.stdout):
            print("result", number)
        if number == 1:
            with line.hidden(sys.stderr):
                print("error: one", file=sys.stderr)
        line.advance()
"""


def on_terminal(*arguments: str, stdout: bool, term: str = "xterm") -> tuple[str, str]:
    """Run a program whose stderr is a terminal; return what it shows, and stdout.

    On a terminal stdout is the same one, as for a user who redirects nothing.
    """
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        [sys.executable, *arguments],
        stdin=subprocess.DEVNULL,
        stdout=theirs if stdout else subprocess.PIPE,
        stderr=theirs,
        cwd=ROOT,
        env={**os.environ, "TERM": term},
    ) as process:
        os.close(theirs)
        shown = b""
        while select.select([ours], [], [], 30)[0]:
            try:
                block = os.read(ours, 4096)
            except OSError:  # Linux: the other end is closed
                break
            if not block:
                break
            shown += block
        output = process.stdout.read() if process.stdout else b""
        assert process.wait(timeout=30) == 0
    os.close(ours)
    return shown.decode().replace("\r\n", "\n"), output.decode()


def screen(shown: str) -> list[str]:
    """Return what is left on the terminal's lines."""
    lines = [""]
    for part in shown.replace(ERASE, "\0").replace("\n", "\n\1").split("\n"):
        if part.startswith("\1"):
            lines.append("")
        lines[-1] += part.lstrip("\1")
    return [line.rpartition("\0")[2] for line in lines]


def test_results_on_the_same_terminal_stay_whole() -> None:
    shown, _ = on_terminal("-c", PROGRAM, "3", stdout=True)
    assert screen(shown) == ["result 0", "result 1", "error: one", "result 2", ""]
    for done in (1, 2, 3):
        assert f" {done}/3, " in shown


def test_results_elsewhere_leave_the_line_alone() -> None:
    shown, output = on_terminal("-c", PROGRAM, "3", stdout=False)
    assert output == "result 0\nresult 1\nresult 2\n"
    assert screen(shown) == ["error: one", ""]
    # Drawn three times, hidden and back for the error, erased at the end.
    assert shown.count(ERASE) == 5
    assert shown.count(" 1/3, ") == 2


def test_a_count_that_is_not_known_is_no_share() -> None:
    shown, _ = on_terminal("-c", PROGRAM, "None", stdout=False)
    assert "3 pictures, " in shown
    assert "left" not in shown


@pytest.mark.parametrize(
    ("total", "term", "program"),
    [
        ("1", "xterm", PROGRAM),
        ("3", "dumb", PROGRAM),
        ("3", "xterm", PROGRAM.replace("progress.QUIET_S = ", "")),
    ],
)
def test_nothing_is_drawn_of_one_picture_a_short_run_or_on_a_dumb_terminal(
    total: str, term: str, program: str
) -> None:
    shown, _ = on_terminal("-c", program, total, stdout=False, term=term)
    assert shown == "error: one\n"


def test_nothing_is_drawn_without_a_terminal() -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, "3"],
        capture_output=True,
        text=True,
        cwd=ROOT,
        check=True,
    )
    assert done.stderr == "error: one\n"


def test_line_tells_share_rate_and_time_left() -> None:
    assert progress_line(500, 2000, 2.0) == (
        f"[{'#' * (BAR_WIDTH // 4):-<{BAR_WIDTH}}] 500/2000, 250/s, 6 s left"
    )
    assert progress_line(5, 20, 60.0).endswith(" 5/20, 0.1/s, 3:00 left")
    assert progress_line(1, 100, 72.0).endswith(", 1:58:48 left")
    assert progress_line(20, 20, 3.0).endswith("0 s left")
    assert progress_line(21, 20, 3.0).startswith(f"[{'#' * BAR_WIDTH}] 21/20")
    assert progress_line(30, None, 2.0) == "30 pictures, 15/s"
