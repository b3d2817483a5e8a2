"""Measure how long it takes to teach a model through the web app.

```
python -m benchmarks.teach --architecture FILE.tflite [--images CLASS_FOLDERS]
```

A server of its own is started for each run, with an empty folder and no bottleneck
of any picture. Pictures are sent as a browser does, some at a time; then the clock
runs from the request to train until the model labels a picture.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

AT_A_TIME = 10
CAMERA_SIZE = (640, 480)


def camera_like(classes: int, each: int) -> dict[str, list[bytes]]:
    """Draw JPEGs of 640 x 480 pixels: shapes in the class's colour, and noise."""
    source = np.random.default_rng(0)
    found: dict[str, list[bytes]] = {}
    for number in range(classes):
        hue = number * 360 // classes
        for _ in range(each):
            noise = Image.effect_noise(CAMERA_SIZE, 40).convert("RGB")
            draw = ImageDraw.Draw(noise)
            for _ in range(6):
                x, y, light = source.integers((0, 0, 35), (560, 400, 65)).tolist()
                draw.ellipse((x, y, x + 90, y + 70), f"hsl({hue}, 70%, {light}%)")
            file = io.BytesIO()
            noise.save(file, "JPEG", quality=85)
            found.setdefault(f"class {number}", []).append(file.getvalue())
    return found


def from_folder(folder: Path, classes: int, each: int) -> dict[str, list[bytes]]:
    """Read some pictures of some class folders."""
    folders = sorted(path for path in folder.iterdir() if path.is_dir())[:classes]
    return {
        path.name: [file.read_bytes() for file in sorted(path.iterdir())[:each]]
        for path in folders
    }


@contextmanager
def served(folder: Path, architecture: str | None) -> Iterator[tuple[str, int]]:
    """Run a server that teaches in a folder; yield its address and process id."""
    options = ["--architecture", architecture] if architecture else []
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "edgeclf", "serve", "--port", "0"),
            *("--teach", str(folder), *options),
        ],
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        url, said = None, []
        for line in process.stderr or ():
            said.append(line)
            url = re.search(r"^Serving .+ on (https?://\S+)$", line)
            if url:
                break
        if url is None:
            raise SystemExit(
                f"Expected a server. Received: it has not started.\n{''.join(said)}"
            )
        yield url[1], process.pid
    finally:
        process.terminate()
        process.wait()


def memory_mib(pid: int) -> float:
    """Return the resident memory of a process, MiB."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def teach(
    pictures: dict[str, list[bytes]], architecture: str | None, wait_s: float
) -> dict[str, float]:
    """Teach once, from nothing; return what it took."""
    import httpx

    folder = Path(tempfile.mkdtemp())
    try:
        with (
            served(folder, architecture) as (url, pid),
            httpx.Client(base_url=f"{url}/v1/teach", timeout=120) as client,
        ):
            client.post("/projects", json={"name": "bench"}).raise_for_status()
            began = time.perf_counter()
            for label, contents in pictures.items():
                client.post(
                    "/projects/bench/classes", json={"name": label}
                ).raise_for_status()
                for start in range(0, len(contents), AT_A_TIME):
                    some = contents[start : start + AT_A_TIME]
                    parts = [("image", ("a.jpg", content)) for content in some]
                    path = f"/projects/bench/classes/{label}/pictures"
                    client.post(path, files=parts).raise_for_status()
            added_s = time.perf_counter() - began
            time.sleep(wait_s)
            began = time.perf_counter()
            client.post("/projects/bench/training", json={}).raise_for_status()
            stages: dict[str, float] = {}
            status = {}
            with client.stream("GET", "/projects/bench/training/events") as events:
                for line in events.iter_lines():
                    if line.startswith("data: "):
                        status = json.loads(line.removeprefix("data: "))
                        now = time.perf_counter() - began
                        stages.setdefault(f"until {status['stage']} s", now)
            done_s = time.perf_counter() - began
            if status.get("state") != "done":
                raise SystemExit(f"Expected a model. Received: {status}")
            first = next(iter(pictures.values()))[0]
            answer = client.post("/projects/bench/classify", files={"image": first})
            answer.raise_for_status()
            usable_s = time.perf_counter() - began
            print(*(f"{name}={at:.2f}" for name, at in stages.items()), file=sys.stderr)
            return {
                "add pictures s": added_s,
                "train s": done_s,
                "train and label s": usable_s,
                "accuracy": status["result"]["accuracy"] or 0.0,
                "server MiB": memory_mib(pid),
            }
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def main() -> int:
    """Print the median of each figure."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--images", type=Path, help="class folders; default: drawn")
    parser.add_argument("--classes", type=int, default=5)
    parser.add_argument("--each", type=int, default=40, help="pictures of a class")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--architecture", help="as for retrain")
    parser.add_argument(
        "--wait", type=float, default=0.0, help="seconds between adding and training"
    )
    options = parser.parse_args()
    pictures = (
        from_folder(options.images, options.classes, options.each)
        if options.images
        else camera_like(options.classes, options.each)
    )
    print(f"{sum(map(len, pictures.values()))} pictures in {len(pictures)} classes")
    runs = [
        teach(pictures, options.architecture, options.wait) for _ in range(options.runs)
    ]
    print(f"load average {os.getloadavg()[0]:.1f} on {os.cpu_count()} processors")
    for name in runs[0]:
        values = sorted(run[name] for run in runs)
        middle = statistics.median(values)
        print(f"{name:20}{middle:8.2f}  ({values[0]:.2f} to {values[-1]:.2f})")
    return 0


if __name__ == "__main__":
    sys.exit(main())
