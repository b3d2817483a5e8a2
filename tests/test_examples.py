"""The programs under examples/, with pins and a camera that are not there."""

from __future__ import annotations

import configparser
import importlib.util
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
EXAMPLES = ROOT / "examples"
UNIT = EXAMPLES / "edgeclf.service"
BOT_UNIT = EXAMPLES / "edgeclf-bot.service"
STAND_INS = Path(__file__).parent / "stand_ins"

# Presses the button again and again, and prints what the LED did.
PRESSING = """\
import runpy, sys, threading, time
from gpiozero import Device

Device.ensure_pin_factory()
button, led = Device.pin_factory.pin(17), Device.pin_factory.pin(27)

def press():
    while True:
        time.sleep(0.02)
        button.drive_low()
        time.sleep(0.02)
        button.drive_high()

threading.Thread(target=press, daemon=True).start()
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0])
print(*("on" if state.state else "off" for state in led.states[1:]))
"""


def run(
    *arguments: object, pictures: list[Path], **variables: str
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *map(str, arguments)],
        env={
            **os.environ,
            "PYTHONPATH": os.pathsep.join([str(STAND_INS), str(ROOT)]),
            "PICTURES": os.pathsep.join(map(str, pictures)),
            **variables,
        },
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_camera_prints_labels_when_they_change(
    picture: Callable[..., Path], model_file: Callable[..., Path]
) -> None:
    red, blue = picture("red"), picture("blue")
    frames = [red, red, blue, red, *[blue] * 9]
    done = run(EXAMPLES / "pi_camera.py", model_file(), pictures=frames)
    lines = done.stdout.splitlines()
    # One blue frame among red ones is smoothed away.
    assert [line.split()[0] for line in lines] == ["red", "blue", "closed"], done.stderr
    assert lines[0] == "red 0.99"
    assert done.returncode == 0


@pytest.mark.skipif(
    importlib.util.find_spec("gpiozero") is None, reason="gpiozero is not installed"
)
def test_button_labels_a_picture_and_lights_the_led(
    picture: Callable[..., Path], model_file: Callable[..., Path]
) -> None:
    frames = [picture(color) for color in ("red", "green", "red")]
    done = run(
        "-c",
        PRESSING,
        EXAMPLES / "gpio_button.py",
        model_file(),
        "green",
        pictures=frames,
        GPIOZERO_PIN_FACTORY="mock",
    )
    *labels, closed, states = done.stdout.splitlines() or [done.stderr] * 2
    assert [line.split()[0] for line in labels] == ["red", "green", "red"]
    assert (closed, states) == ("closed", "on off")
    assert done.returncode == 0


def test_unit_starts_an_example_and_stops_it_as_ctrl_c_does() -> None:
    unit = configparser.ConfigParser()
    unit.optionxform = str  # type: ignore[assignment,method-assign]
    unit.read(UNIT, encoding="utf-8")
    service = unit["Service"]
    _, program, *_ = service["ExecStart"].split()
    assert (ROOT / program).is_file()
    assert service["ExecStart"].startswith(service["WorkingDirectory"])
    assert service["KillSignal"] == "SIGINT"
    assert unit["Install"]["WantedBy"] == "multi-user.target"


def test_bot_unit_gives_the_token_as_a_credential_to_a_user_of_its_own() -> None:
    text = BOT_UNIT.read_text(encoding="utf-8").replace("\\\n", " ")
    unit = configparser.RawConfigParser(strict=False)
    unit.optionxform = str  # type: ignore[assignment,method-assign]
    unit.read_string(text)
    service = unit["Service"]
    _, *options = service["ExecStart"].split()
    assert options[:3] == ["-m", "edgeclf", "bot"]
    assert (
        options[options.index("--token_file") + 1] == "${CREDENTIALS_DIRECTORY}/token"
    )
    assert service["LoadCredential"].startswith("token:")
    assert (
        options[options.index("--state_dir") + 1] == f"%S/{service['StateDirectory']}"
    )
    assert service["DynamicUser"] == "yes"
    assert "Environment" not in service
    # It must give up: as many starts, each with its pause, in less than the interval.
    limits, pause_s = unit["Unit"], int(service["RestartSec"])
    starts = int(limits["StartLimitBurst"])
    assert starts * (pause_s + 60) < int(limits["StartLimitIntervalSec"])


@pytest.mark.skipif(
    shutil.which("systemd-analyze") is None, reason="systemd is not installed"
)
@pytest.mark.parametrize("unit", [UNIT, BOT_UNIT], ids=lambda unit: unit.stem)
def test_systemd_accepts_the_unit(tmp_path: Path, unit: Path) -> None:
    text = unit.read_text(encoding="utf-8")
    copy = tmp_path / unit.name
    copy.write_text(re.sub(r"/\S+/bin/python", sys.executable, text))
    done = subprocess.run(
        ["systemd-analyze", "verify", str(copy)],
        capture_output=True,
        text=True,
        check=False,
    )
    mine = [line for line in done.stderr.splitlines() if unit.name in line]
    assert mine == []
    copy.write_text(copy.read_text().replace("Restart=", "Restar="))
    done = subprocess.run(
        ["systemd-analyze", "verify", str(copy)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert "Restar" in done.stderr
