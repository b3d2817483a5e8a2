"""How long a person waits for the bot, alone and beside 99 others.

The bot is a process of its own and speaks HTTP with the tests' local Bot API, which is
in this process: both share the cores. Times are from the update's arrival at the server
to the arrival of the answer there; the way between Telegram and the bot is not in them.

    python -m benchmarks.bot --model FILE.tflite
"""

from __future__ import annotations

import math
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

from benchmarks import measure
from benchmarks.classify import draw
from benchmarks.datasets import WORK_DIR
from benchmarks.decode import PICTURE
from benchmarks.label_image import decor_model
from benchmarks.measure import BYTES_PER_MB, ROOT, digits

if TYPE_CHECKING:
    from bot_api import BotApi

SIZE = (1280, 960)  # (width, height): the largest size of a photo at Telegram
CHATS = 100
WARMUPS = 3
TIMEOUT_S = 120

Send = Callable[[int], dict[str, Any]]


def picture() -> bytes:
    """Return a photo as a phone's Telegram sends it, drawn where missing."""
    path = WORK_DIR / "bot" / f"{SIZE[0]}x{SIZE[1]}.jpg"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        draw(PICTURE, SIZE, path)
    return path.read_bytes()


def waits(api: BotApi, send: Send, chats: Sequence[int]) -> list[float]:
    """Send a picture to each chat at once; return the seconds until each answer."""
    sent = []
    for chat in chats:
        sent.append((time.monotonic(), send(chat)))
    api.wait_for(
        lambda: all(api.replies(message) for _, message in sent), TIMEOUT_S, "no answer"
    )
    return [
        api.answered_at[message["chat"]["id"], api.replies(message)[0]["message_id"]]
        - started
        for started, message in sent
    ]


def alone(api: BotApi, send: Send, runs: int) -> list[float]:
    """Send a picture to one chat after the other; return the seconds of each."""
    return [waits(api, send, [chat])[0] for chat in range(1000, 1000 + runs)]


def percentile_95(values: Sequence[float]) -> float:
    """Return the smallest value that 95 % of the values do not exceed."""
    return sorted(values)[math.ceil(0.95 * len(values)) - 1]


def resident_mb(pid: int, field: str = "VmRSS") -> float:
    """Return a process's resident set (`VmHWM`: its peak), in MB of 10^6 bytes."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    (resident,) = (line.split()[1] for line in lines if line.startswith(field))
    return int(resident) * 1024 / BYTES_PER_MB


def print_waits(name: str, seconds: Sequence[float], rate: float | None = None) -> None:
    """Print one line of the table, in milliseconds and pictures a second."""
    cells = [median(seconds), percentile_95(seconds), max(seconds)]
    rates = "" if rate is None else digits(rate)
    measure.print_line(name, *(digits(1000 * value) for value in cells), rates)


def main() -> int:
    """Measure and print the table; 1 if a picture alone takes a second."""
    sys.path.insert(0, str(ROOT / "tests"))  # where the local Bot API lies
    from bot_api import BotApi
    from bot_process import BotProcess

    parser = measure.parser(__doc__, runs=3)
    parser.add_argument("--model", type=Path, help="else one for the decors is made")
    parser.add_argument("--pictures", type=measure.positive, default=100)
    args = parser.parse_args()
    model = args.model or decor_model(args.architecture)[0]
    content = picture()
    with tempfile.TemporaryDirectory() as folder, BotApi() as api:
        sends: dict[str, Send] = {
            "photo": lambda chat: api.send_photo(chat, content),
            "document": lambda chat: api.send_document(chat, content),
        }
        bot = BotProcess(api, Path(folder), "--rate", 10_000, model=model.read_bytes())
        started = time.monotonic()
        bot.start()
        start_s = time.monotonic() - started
        measured: dict[str, list[float]] = {}
        rates: dict[str, float] = {}
        try:
            for name, send in sends.items():
                alone(api, send, WARMUPS)
                measured[f"{name}, alone"] = alone(api, send, args.pictures)
                crowd = f"{name}, {CHATS} chats at once"
                rounds = [
                    waits(api, send, range(1, CHATS + 1)) for _ in range(args.runs)
                ]
                measured[crowd] = [seconds for round_ in rounds for seconds in round_]
                rates[crowd] = median([CHATS / max(round_) for round_ in rounds])
            memory_mb = resident_mb(bot.pid), resident_mb(bot.pid, "VmHWM")
        finally:
            bot.end()
    measure.print_line("", "median ms", "95 % ms", "longest ms", "pictures a second")
    measure.print_line(*["---"] * 5)
    for name, seconds in measured.items():
        print_waits(name, seconds, rates.get(name))
    print(
        f"\nStarted in {digits(start_s)} s; resident {memory_mb[0]:.0f} MB, at most "
        f"{memory_mb[1]:.0f} MB"
    )
    measure.write_json(
        args.json, benchmark="bot", waits_s=measured, rates=rates, resident_mb=memory_mb
    )
    return int(median(measured["photo, alone"]) >= 1)


if __name__ == "__main__":
    sys.exit(main())
