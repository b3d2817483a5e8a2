"""Collect pictures from a server that takes its time, with 1, 4 and 16 workers.

Beside `edgeclf collect`, which decodes, compares and records each picture, runs a plain
loop of `urllib` that only writes the files. The server is this process.

    python -m benchmarks.collect
"""

from __future__ import annotations

import http.server
import shutil
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from benchmarks import measure
from benchmarks.measure import Contender
from benchmarks.workers import photos

SIZE, COUNT = (480, 640), 400  # (height, width), pictures
WORKERS = (1, 4, 16)
BASELINE = "urllib loop"

LOOP = """
import sys, urllib.request
from pathlib import Path
output = Path(sys.argv[2])
output.mkdir()
for number, url in enumerate(Path(sys.argv[1]).read_text().split()):
    with urllib.request.urlopen(url, timeout=30) as response:
        (output / f"{number}.jpg").write_bytes(response.read())
"""


class SlowHandler(http.server.SimpleHTTPRequestHandler):
    """Serves files after a while."""

    latency_s = 0.0

    def do_GET(self) -> None:
        """Wait, then answer."""
        time.sleep(self.latency_s)
        super().do_GET()

    def log_message(self, *_: object) -> None:
        """Keep quiet."""


class Server(http.server.ThreadingHTTPServer):
    """Lets many connect at once."""

    request_queue_size = 128
    daemon_threads = True


@contextmanager
def serving(folder: Path, latency_s: float) -> Iterator[str]:
    """Serve a folder for the length of the block; yield its address."""
    handler = type("Handler", (SlowHandler,), {"latency_s": latency_s})
    with Server(("127.0.0.1", 0), partial(handler, directory=folder)) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


def main() -> int:
    """Measure, print a table."""
    parser = measure.parser(__doc__, runs=3)
    parser.add_argument("--latency_ms", type=float, default=20.0, help="of the server")
    args = parser.parse_args()
    folder = photos(SIZE, COUNT)
    with (
        tempfile.TemporaryDirectory() as work,
        serving(folder, args.latency_ms / 1000) as address,
    ):
        urls, output = Path(work, "urls.txt"), Path(work, "output")
        names = sorted(path.name for path in folder.iterdir())
        urls.write_text("".join(f"{address}/{name}\n" for name in names))

        def remove() -> None:
            shutil.rmtree(output, ignore_errors=True)

        loop = [sys.executable, "-c", LOOP, str(urls), str(output)]
        command = [
            sys.executable,
            "-m",
            "edgeclf.collecting.command",
            "--allow_private",
        ]
        command += ["--urls", str(urls), "--output", str(output)]
        contenders = [Contender(BASELINE, loop, remove)]
        contenders += [
            Contender(
                f"{number} workers",
                [*command, "--workers", str(number), "--per_host", str(number)],
                remove,
            )
            for number in WORKERS
        ]
        measured = measure.alternate(contenders, args.runs)
    notes = {
        name: {
            "pictures/s": measure.Spread.of([len(names) / run.wall_s for run in runs])
        }
        for name, runs in measured.items()
    }
    rows = measure.summarize(measured, BASELINE, notes)
    measure.print_rows(rows, BASELINE)
    measure.write_json(args.json, benchmark="collect", rows=rows)
    return 0


if __name__ == "__main__":
    sys.exit(main())
