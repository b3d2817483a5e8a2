"""Any command ends within a second of Ctrl-C, whatever it is doing."""

import os
import signal
import sys
import textwrap
import time
from pathlib import Path

import pytest
from killing import finished, signalled_at, started

pytestmark = pytest.mark.skipif(os.name != "posix", reason="POSIX signals")

SECOND = 1.0
START = """
    import sys
    from edgeclf import console

    def command():
        print("begun", flush=True)
        {body}

    sys.exit(console.run(command, "Do go on."))
"""
# What ends by itself at a KeyboardInterrupt, and what does not.
WORK = {
    "a loop": "while True: pass",
    "sleep": "import time; time.sleep(60)",
    "one long call": """
        import numpy as np
        np.linalg.svd(np.random.default_rng(0).random((4000, 4000)))""",
    "threads that are joined": """
        import time
        from concurrent.futures import ThreadPoolExecutor
        with ThreadPoolExecutor(2) as pool:
            list(pool.map(time.sleep, [5] * 20))""",
    "threads that are joined at the end": """
        import threading, time
        threading.Thread(target=time.sleep, args=[60]).start()
        time.sleep(60)""",
    "a process that is joined": """
        import multiprocessing, time
        context = multiprocessing.get_context("fork")
        context.Process(target=time.sleep, args=[60]).start()
        time.sleep(60)""",
    "deaf": """
        import time
        while True:
            try: time.sleep(60)
            except KeyboardInterrupt: pass""",
    "what makes another error of it": """
        import time
        try: time.sleep(60)
        except KeyboardInterrupt: raise ImportError("initialization failed") from None
        """,
    "a child of another session": """
        import subprocess
        # Not our output: a child that has just been started may outlive us.
        subprocess.run(
            ["sleep", "60"], start_new_session=True, stdout=-3, stderr=-3)""",
}


CASES = [(work, signal.SIGINT) for work in WORK] + [
    ("deaf", signal.SIGTERM),
    ("a process that is joined", signal.SIGTERM),
]


@pytest.mark.parametrize(("work", "number"), CASES)
def test_a_command_ends_within_a_second_with_a_line(tmp_path, work, number):
    program = written(tmp_path, WORK[work])
    command = [sys.executable, str(program)]
    ended = signalled_at(command, "begun", number, to_group=False)
    assert ended.stdout == "begun\n"
    assert ended.after_s < SECOND
    assert ended.status == 128 + number
    word = "Interrupted" if number == signal.SIGINT else "Terminated"
    assert ended.stderr.count(f"error: {word}. Do go on.\n") == 1
    assert "Traceback" not in ended.stderr


def test_a_second_signal_ends_at_once(tmp_path):
    command = [sys.executable, str(written(tmp_path, WORK["deaf"]))]
    process = started(command)
    assert process.stdout.readline() == "begun\n"
    process.send_signal(signal.SIGINT)
    time.sleep(0.1)
    began = time.monotonic()
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert time.monotonic() - began < 0.5  # less than what the first one gives
    assert process.returncode == 130
    assert said == "error: Interrupted. Do go on.\n"


@pytest.mark.parametrize("gap_s", [0.0, 0.0005, 0.005])
def test_an_echo_of_a_signal_does_not_cut_off_the_way_out(tmp_path, gap_s):
    body = """
        import time
        try:
            print("within", flush=True)
            time.sleep(60)
        finally:
            time.sleep(0.1)
            print("let go", flush=True)"""
    process = started([sys.executable, str(written(tmp_path, body))])
    assert process.stdout.readline() + process.stdout.readline() == "begun\nwithin\n"
    process.send_signal(signal.SIGINT)  # as the terminal does,
    time.sleep(gap_s)
    process.send_signal(signal.SIGINT)  # and then what has started the command
    printed, said = process.communicate(timeout=60)
    assert said == "error: Interrupted. Do go on.\n"
    assert (process.returncode, printed) == (130, "let go\n")


def test_children_end_too(tmp_path):
    body = """
        import subprocess
        child = subprocess.Popen(["sleep", "60"], start_new_session=True)
        print(child.pid, flush=True)
        while True:
            try:
                print("child", flush=True)
                child.wait()
            except KeyboardInterrupt: pass"""
    command = [sys.executable, str(written(tmp_path, body))]
    ended = signalled_at(command, "child", signal.SIGINT, to_group=False)
    assert ended.status == 130
    child = Path("/proc", ended.stdout.split()[1], "stat")
    ends_by = time.monotonic() + 10  # it is told to end, and does so in its own time
    while not has_ended(child):
        assert time.monotonic() < ends_by
        time.sleep(0.02)


def has_ended(stat):
    try:
        return stat.read_text().split()[2] == "Z"  # who inherits it has yet to hear
    except OSError:
        return True


def test_a_program_that_goes_on_is_let_alone(tmp_path):
    program = tmp_path / "program.py"
    program.write_text(
        textwrap.dedent("""
        import os, signal, time
        from edgeclf import console

        def command():
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(60)

        print(console.run(command))
        time.sleep(1.5)
        print(signal.getsignal(signal.SIGINT) is signal.default_int_handler)
        print(console.run(lambda: 0))
        """)
    )
    ended = finished([sys.executable, str(program)])
    assert ended.stdout.split() == ["130", "True", "0"]
    assert ended.stderr == "error: Interrupted.\n"


def test_what_handles_signals_itself_is_not_watched(tmp_path):
    body = """
        import signal, time
        received = []
        signal.signal(signal.SIGINT, lambda number, frame: received.append(number))
        print("ready", flush=True)
        while not received: time.sleep(0.01)
        time.sleep(1.2)
        print("at my own pace", flush=True)
        return 0"""
    command = [sys.executable, str(written(tmp_path, body))]
    ended = signalled_at(command, "ready", signal.SIGINT, to_group=False)
    assert ended.status == 0
    assert ended.stdout == "begun\nready\nat my own pace\n"
    assert not ended.stderr


def test_an_ignored_signal_stays_ignored(tmp_path):
    body = """
        import os, time
        os.kill(os.getpid(), 2)
        time.sleep(0.9)
        print("done")
        return 0"""
    program = written(tmp_path, body)
    ignoring = 'trap \'\' INT; exec "$0" "$1"'
    ended = finished(["sh", "-c", ignoring, sys.executable, str(program)])
    assert (ended.status, ended.stdout) == (0, "begun\ndone\n")


def written(folder: Path, body: str) -> Path:
    program = folder / "program.py"
    body = textwrap.indent(textwrap.dedent(body).strip(), " " * 4)
    program.write_text(textwrap.dedent(START).format(body=body.strip()))
    return program
