"""Pictures a second over HTTP: `edgeclf serve` and the same model behind plain FastAPI.

Both are uvicorn in one process, both get multipart forms from clients that keep their
connections; they take turns, round after round. The clients are a process of their own
on the same processors, so that the figures of both are lower than a server's alone. At
the end, the server's memory beside that of label_image.

    python -m benchmarks.serve --model FILE.tflite [--image PICTURE]
"""

from __future__ import annotations

import json
import math
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks import measure
from benchmarks.label_image import PEERS
from benchmarks.load import OK
from benchmarks.measure import (
    BYTES_PER_MB,
    ROOT,
    CommandError,
    Contender,
    Spread,
    digits,
    environment,
)
from benchmarks.served import add_options, labels_of, model_of, pictures_of

CLIENTS = (1, 8, 64)
OURS, PLAIN = "edgeclf serve", "plain FastAPI"
START_S = 30
MIXED = 200  # requests before the memory is read
MIB = 1 << 20
MOST_MIB = 45  # that the server may need beyond label_image
LARGE, SMALL = "12 MP", "320 x 240"
# Least throughput, as a multiple of plain FastAPI's.
GOALS = {"12 MP, smooth": 3.0, LARGE: 3.0, SMALL: 1.0}


@dataclass(frozen=True)
class Server:
    """A server that runs.

    Attributes:
        name: How the table calls it.
        url: Where pictures go.
        pid: Of its process.
    """

    name: str
    url: str
    pid: int


@contextmanager
def running(name: str, command: Sequence[str], url: str) -> Iterator[Server]:
    """Run a server for the length of the block.

    Raises:
        CommandError: It does not answer.
    """
    with subprocess.Popen(
        command, cwd=ROOT, env=environment(), stderr=subprocess.DEVNULL
    ) as process:
        try:
            _wait(name, process, url)
            yield Server(name, url, process.pid)
        finally:
            process.terminate()


def _wait(name: str, process: subprocess.Popen[bytes], url: str) -> None:
    port = int(url.split(":")[2].partition("/")[0])
    until = time.monotonic() + START_S
    while process.poll() is None and time.monotonic() < until:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    raise CommandError(f"{name}: expected it to listen. Received: it does not.")


def ours(model: Path, *options: str) -> tuple[str, list[str], str]:
    """Return name, command and address of `edgeclf serve`, for `running`."""
    port = free_port()
    command = [sys.executable, "-m", "edgeclf", "serve", "--model", str(model)]
    command += ["--port", str(port), *options]
    return OURS, command, f"http://127.0.0.1:{port}/v1/classify"


def plain(model: Path, labels: Path) -> tuple[str, list[str], str]:
    """Return name, command and address of the plain handler, for `running`."""
    port = free_port()
    script = str(PEERS / "plain_fastapi.py")
    command = [sys.executable, script, str(model), str(labels), str(port)]
    return PLAIN, command, f"http://127.0.0.1:{port}/classify"


def free_port() -> int:
    """Return a port that nothing listens on now."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port: int = listening.getsockname()[1]
        return port


def load(
    server: Server,
    paths: Sequence[Path],
    clients: int,
    seconds: float,
    rate: float | None = None,
) -> dict[str, Any]:
    """Have `benchmarks.load` send pictures; return what it prints.

    Raises:
        CommandError: It failed.
    """
    command = [sys.executable, "-m", "benchmarks.load", server.url, *map(str, paths)]
    command += ["--clients", str(clients), "--seconds", str(seconds)]
    if rate is not None:
        command += ["--rate", str(rate)]
    output = measure.run_once(Contender("load", command)).output
    result: dict[str, Any] = json.loads(output)
    return result


def percentile(values: Sequence[float], share: float) -> float:
    """Return the smallest value that this share of the values does not exceed."""
    return sorted(values)[max(0, math.ceil(share * len(values)) - 1)]


def resident_mib(pid: int, field: str = "VmRSS") -> float:
    """Return a process's resident set (`VmHWM`: its peak) in MiB."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    (resident,) = (line.split()[1] for line in lines if line.startswith(field))
    return int(resident) / 1024


def compare(
    servers: Sequence[Server], path: Path, clients: int, seconds: float, runs: int
) -> dict[str, list[dict[str, Any]]]:
    """Load all servers in turn; return what each round gave, by server.

    Raises:
        CommandError: A picture was not answered.
    """
    rounds: dict[str, list[dict[str, Any]]] = {server.name: [] for server in servers}
    for number in range(-1, runs):
        for server in servers:
            result = load(server, [path], clients, seconds if number >= 0 else 1)
            if set(result["statuses"]) != {str(OK)}:
                raise CommandError(
                    f"{server.name}: expected status 200 from {server.url}. "
                    f"Received: {result['statuses']}"
                )
            if number >= 0:
                rounds[server.name].append(result)
    return rounds


def rate_of(result: dict[str, Any]) -> float:
    """Return answers per second."""
    return len(result["latencies_ms"]) / float(result["seconds"])


def print_comparison(
    title: str, clients: int, rounds: dict[str, list[dict[str, Any]]]
) -> float:
    """Print a line for each server; return how much faster ours is."""
    rates = {name: [*map(rate_of, results)] for name, results in rounds.items()}
    ratios = measure.ratios(rates[OURS], rates[PLAIN])
    for name, results in rounds.items():
        latencies = [ms for result in results for ms in result["latencies_ms"]]
        cells = [digits(percentile(latencies, share)) for share in (0.5, 0.95, 0.99)]
        ratio = f"{Spread.of(ratios)}" if name == OURS else "1"
        measure.print_line(title, clients, name, Spread.of(rates[name]), *cells, ratio)
    return median(ratios)


def mixed(paths: Sequence[Path], folder: Path) -> list[Path]:
    """Return pictures of all sizes, and one that is none."""
    bad = folder / "no picture.jpg"
    bad.parent.mkdir(parents=True, exist_ok=True)
    bad.write_bytes(paths[0].read_bytes()[:500])
    return [*paths, *paths, bad]


def memory_mib(model: Path, paths: Sequence[Path]) -> dict[str, float]:
    """Return the memory of label_image and of the server, in MiB.

    `label_image` is its peak with one large picture; the server's are its resident set
    when it has started and after `MIXED` requests, and its peak by then.
    """
    largest = max(paths, key=lambda path: path.stat().st_size)
    command = [sys.executable, "-m", "edgeclf.label_image", "--model", str(model)]
    run = measure.run_once(
        Contender("label_image", [*command, "--image", str(largest)])
    )
    with running(*ours(model)) as server:
        started = resident_mib(server.pid)
        sent = 0
        while sent < MIXED:
            result = load(server, paths, 2, 2)
            sent += sum(result["statuses"].values())
        return {
            "label_image": run.peak_mb * BYTES_PER_MB / MIB,
            "started": started,
            "used": resident_mib(server.pid),
            "peak": resident_mib(server.pid, "VmHWM"),
        }


def print_memory(memory: dict[str, float]) -> float:
    """Print what the server needs; return by how much it is more than label_image."""
    more = memory["used"] - memory["label_image"]
    print(
        f"\nMemory, MiB: label_image {memory['label_image']:.1f}; the server when it "
        f"has started {memory['started']:.1f}, after {MIXED} requests of all kinds "
        f"{memory['used']:.1f} ({more:+.1f}), at most {memory['peak']:.1f}"
    )
    return more


def main() -> int:
    """Measure, print the tables; 1 if a goal is missed."""
    parser = measure.parser(__doc__, runs=3)
    add_options(parser)
    parser.add_argument("--seconds", type=float, default=4.0, help="of each turn")
    parser.add_argument(
        "--clients", type=measure.positive, nargs="+", default=list(CLIENTS)
    )
    args = parser.parse_args()
    model, made = model_of(args), pictures_of(args)
    measure.print_line(
        "", "clients", "server", "pictures/s", "p50 ms", "p95 ms", "p99 ms", "ratio"
    )
    measure.print_line(*["---"] * 8)
    ratios: dict[str, dict[int, float]] = {name: {} for name in GOALS}
    results = {}
    with ExitStack() as stack:
        servers = [
            stack.enter_context(running(*each))
            for each in (ours(model), plain(model, labels_of(model)))
        ]
        for name in GOALS:
            for clients in args.clients:
                rounds = compare(servers, made[name], clients, args.seconds, args.runs)
                ratios[name][clients] = print_comparison(name, clients, rounds)
                results[f"{name}, {clients}"] = rounds
    bad = mixed([made[name] for name in GOALS], made[LARGE].parent / "serve")
    memory = memory_mib(model, bad)
    more = print_memory(memory)
    measure.write_json(
        args.json, benchmark="serve", ratios=ratios, rounds=results, memory=memory
    )
    missed = [
        f"{name}, {clients} clients: {ratio:.2f}"
        for name, each in ratios.items()
        for clients, ratio in each.items()
        if ratio < GOALS[name]
    ]
    if missed:
        print(f"Below the goal {GOALS}: {'; '.join(missed)}")
    return int(bool(missed) or more > MOST_MIB)


if __name__ == "__main__":
    sys.exit(main())
