"""The bot as a process, with a small real model, and pictures for it."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType

import model_files as models
import numpy as np
from bot_api import BotApi
from bot_chats import TOKEN
from PIL import Image

ROOT = Path(__file__).resolve().parents[1]
CLASSES = models.COLORS
THRESHOLDS = [0.5, 0.5, 0.5]
COLORS = {
    **models.PIXELS,
    "magenta": (200, 30, 200),
    "black": (10, 10, 10),
}


def class_model() -> bytes:
    """Red, green or blue: one of three."""
    return models.own()


def tag_model() -> bytes:
    """Red, green, blue: any of three tags."""
    entry = models.record(multi_label=True, thresholds=THRESHOLDS)
    return models.own(entry=entry, activation="logistic")


def jpeg(
    color: str = "red", seed: int = 0, size: tuple[int, int] = (640, 480)
) -> bytes:
    """A picture of one colour; another `seed` gives other bytes."""
    source = np.random.default_rng(seed)
    coarse = source.integers(-9, 10, (6, 8, 3)) + np.array(COLORS[color])
    image = Image.fromarray(coarse.clip(0, 255).astype(np.uint8)).resize(size)
    file = io.BytesIO()
    image.save(file, "JPEG", quality=90)
    return file.getvalue()


class BotProcess:
    """A bot that was started with these options.

    Attributes:
        state_dir: Where it keeps what it must not forget.
    """

    def __init__(
        self,
        api: BotApi,
        folder: Path,
        *options: object,
        model: bytes | None = None,
        variables: Mapping[str, str] | None = None,
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.api = api
        self.state_dir = folder / "state"
        self._log = folder / "log.txt"
        path = folder / "model.tflite"
        path.write_bytes(class_model() if model is None else model)
        self.command = [
            *(sys.executable, "-m", "edgeclf.bot.command", "--model", str(path)),
            *("--api_url", api.url, "--state_dir", str(self.state_dir)),
            *map(str, options),
        ]
        self._variables = {"EDGECLF_TELEGRAM_TOKEN": TOKEN, **(variables or {})}
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> BotProcess:
        """Start it, and wait until it asks for updates or has set its webhook."""
        before = self._arrivals()
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                self.command,
                stdout=log,
                stderr=log,
                env={**os.environ, "PYTHONPATH": str(ROOT), **self._variables},
            )
        self.api.wait_for(
            lambda: self._arrivals() > before or self.has_ended, 20, "it did not start"
        )
        return self

    def _arrivals(self) -> int:
        webhooks = [call for call in self.api.calls if call.method == "setWebhook"]
        return self.api.polls + len(webhooks)

    @property
    def has_ended(self) -> bool:
        return self._process is None or self._process.poll() is not None

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def end(self, by: signal.Signals = signal.SIGTERM, timeout_s: float = 20) -> int:
        """Send a signal, wait, and return the exit status."""
        assert self._process is not None
        if not self.has_ended:
            self._process.send_signal(by)
        return self._process.wait(timeout_s)

    def wait(self, timeout_s: float = 20) -> int:
        """Wait until it ends by itself, and return the exit status."""
        assert self._process is not None
        return self._process.wait(timeout_s)

    def log(self) -> str:
        """Return all that it wrote."""
        return self._log.read_text(encoding="utf-8", errors="replace")

    def __enter__(self) -> BotProcess:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if not self.has_ended:
            self.end(signal.SIGKILL)
        print(self.log())  # noqa: T201 - pytest shows it when a test fails


@contextmanager
def running(
    folder: Path, *options: object, model: bytes | None = None, seed: int = 0
) -> Iterator[tuple[BotApi, BotProcess]]:
    """Run a server and a bot for the length of the block."""
    with BotApi(seed) as api, BotProcess(api, folder, *options, model=model) as bot:
        assert not bot.has_ended, bot.log()
        yield api, bot


def refused(*arguments: object, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run a bot that will not start, and return what it said."""
    return subprocess.run(
        [sys.executable, "-m", "edgeclf.bot.command", *map(str, arguments)],
        env={**os.environ, "PYTHONPATH": str(ROOT), **variables},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
