"""Does the server grow under load? Minutes at a share of what it can do.

Pictures of all sizes, one in five no picture. The first minute is the warm-up, whose
last readings are what the others are compared with; each minute's memory is the median
of readings a second apart.

    python -m benchmarks.serve_soak --model FILE.tflite --minutes 30 [--image PICTURE]
"""

from __future__ import annotations

import sys
import threading
from pathlib import Path
from statistics import median

from benchmarks import measure
from benchmarks.load import OK, REFUSED
from benchmarks.serve import LARGE, SMALL, Server, load, mixed, ours, resident_mib
from benchmarks.serve import running as run_server
from benchmarks.served import add_options, model_of, pictures_of

SHARE = 0.8  # of the capacity
CLIENTS = 4
MOST_GROWTH = 0.05  # of the memory after the warm-up
CAPACITY_S = 10
SETTLED = 10  # readings at the warm-up's end
EXPECTED = {str(OK), str(REFUSED)}  # statuses; the second of what is no picture


def minute(
    server: Server, paths: list[Path], rate: float, seconds: float
) -> tuple[list[float], dict[str, int]]:
    """Load the server for a while; return its memory each second, MiB, and statuses."""
    ended = threading.Event()
    readings = [resident_mib(server.pid)]

    def read() -> None:
        while not ended.wait(1):
            readings.append(resident_mib(server.pid))

    reader = threading.Thread(target=read)
    reader.start()
    try:
        statuses = load(server, paths, CLIENTS, seconds, rate)["statuses"]
    finally:
        ended.set()
        reader.join()
    return readings, statuses


def main() -> int:
    """Measure; 1 if the memory is not flat, or a request failed."""
    parser = measure.parser(__doc__, runs=1)
    add_options(parser)
    parser.add_argument("--minutes", type=measure.positive, default=30)
    parser.add_argument("--seconds", type=float, default=60.0, help="of a minute")
    args = parser.parse_args()
    model, made = model_of(args), pictures_of(args)
    paths = mixed([made[LARGE], made[SMALL]], made[LARGE].parent / "serve")
    errors: dict[str, int] = {}
    resident: list[float] = []
    with run_server(*ours(model)) as server:
        capacity = load(server, paths, CLIENTS, min(CAPACITY_S, args.seconds))
        most = sum(capacity["statuses"].values()) / capacity["seconds"]
        print(f"{most:.1f} requests/s at most; {SHARE * most:.1f} from now on")
        for number in range(args.minutes + 1):
            readings, statuses = minute(server, paths, SHARE * most, args.seconds)
            memory = median(readings if number else readings[-SETTLED:])
            resident.append(memory)
            for status, count in statuses.items():
                if status not in EXPECTED:
                    errors[status] = errors.get(status, 0) + count
            title = f"minute {number}" if number else "warm-up"
            print(f"{title}: {memory:.1f} MiB, {statuses}", flush=True)
    growth = resident[-1] / resident[0] - 1
    print(f"\nGrown by {growth:+.1%} since the warm-up; errors: {errors or 'none'}")
    measure.write_json(
        args.json, benchmark="serve_soak", resident_mib=resident, errors=errors
    )
    return int(abs(growth) > MOST_GROWTH or bool(errors))


if __name__ == "__main__":
    sys.exit(main())
