"""Requests that nobody meant: generated from the description, and damaged pictures.

`make fuzz` sends 10,000 of the latter.
"""

from __future__ import annotations

import http.client
import io
import os
import random
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit

import model_files as models
import numpy as np
import pytest
from mutations import mutated
from PIL import Image
from web_server import WebServer, serving

NUM_UPLOADS = int(os.environ.get("EDGECLF_MUTANTS_UPLOADS", "500"))
CONNECTIONS = 3
# The second takes longest; `make fuzz` has the time.
PHASES = "examples,coverage,fuzzing" if NUM_UPLOADS > 500 else "examples,fuzzing"
BOUNDARY = b"a-boundary"
CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
    "negative_data_rejection",
    "unsupported_method",
    "allow_header_conformance",
)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WebServer]:
    path = tmp_path_factory.mktemp("fuzz") / "colors.tflite"
    path.write_bytes(models.own())
    with serving("--model", path, "--max_mb", 2) as running:
        yield running


def test_nothing_that_the_description_allows_or_forbids_fails(
    server: WebServer, tmp_path: Path
) -> None:
    program = Path(sys.executable).with_name("schemathesis")
    if not program.exists():
        pytest.skip("schemathesis is not installed: edgeclf[dev]")
    done = subprocess.run(
        [
            *(program, "run", f"{server.url}/openapi.json", "--no-color"),
            *("--checks", ",".join(CHECKS), "--generation-deterministic"),
            *("--max-examples", "5", "--phases", PHASES),
        ],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Tested: 6" in done.stdout
    assert "Traceback" not in server.log()


def test_damaged_uploads_neither_crash_nor_leak(server: WebServer) -> None:
    originals = [*_pictures()]
    parts = _split(NUM_UPLOADS, CONNECTIONS)
    # What Pillow loads for a format, and what the threads hold, is there after a few.
    _send(server.url, originals, range(-200, 0))
    before_kb = _resident_kb(server.process.pid)
    with ThreadPoolExecutor(CONNECTIONS) as threads:
        counts = [*threads.map(lambda part: _send(server.url, originals, part), parts)]
    statuses = {s: sum(c.get(s, 0) for c in counts) for s in set().union(*counts)}
    assert sum(statuses.values()) == NUM_UPLOADS
    assert set(statuses) <= {200, 400, 415, 422}, statuses
    assert {200, 400, 422} <= set(statuses)
    assert server.process.poll() is None
    assert "Traceback" not in server.log()
    grown_kb = _resident_kb(server.process.pid) - before_kb
    print(f"{statuses}; {before_kb} kB before, {grown_kb:+} kB")  # noqa: T201
    # The allocator's noise; a leak of a picture each would be tens of times as much.
    assert grown_kb < 24 * 1024


def _split(total: int, ways: int) -> list[range]:
    return [range(way, total, ways) for way in range(ways)]


def _pictures() -> Iterator[bytes]:
    source = np.random.default_rng(5)
    coarse = source.integers(0, 256, (9, 12, 3), dtype=np.uint8)
    image = Image.fromarray(coarse).resize((160, 120))
    for kind, options in (
        ("JPEG", {}),
        ("JPEG", {"progressive": True}),
        ("PNG", {}),
        ("GIF", {}),
        ("WEBP", {}),
        ("TIFF", {"compression": "tiff_lzw"}),
        ("BMP", {}),
    ):
        file = io.BytesIO()
        image.save(file, kind, **options)
        yield file.getvalue()


def _send(url: str, originals: list[bytes], seeds: range) -> dict[int, int]:
    """Send damaged requests over one connection; return how often which status came."""
    counts: dict[int, int] = {}
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=60)
    for seed in seeds:
        kind, body = _request(originals, seed)
        connection.request("POST", "/v1/classify", body, {"Content-Type": kind})
        answer = connection.getresponse()
        content = answer.read()
        assert content.startswith(b"{"), content[:200]
        counts[answer.status] = counts.get(answer.status, 0) + 1
    connection.close()
    return counts


def _request(originals: list[bytes], seed: int) -> tuple[str, bytes]:
    """Return type and body: the picture is damaged, or what is around it too."""
    source = random.Random(seed)  # noqa: S311 - no secret
    picture = source.choice(originals)
    way = source.randrange(10)
    if way < 4:
        return "image/jpeg", mutated(picture, seed) or b"\0"
    if way < 8:
        return _form_type(), _form([mutated(picture, seed), picture][: 1 + way % 2])
    if way == 8:
        return _form_type(), mutated(_form([picture]), seed)
    text = mutated(b'{"images": [{"base64": "R0lGODlhAQABAAAAACw="}]}', seed)
    return "application/json", text


def _form_type() -> str:
    return f"multipart/form-data; boundary={BOUNDARY.decode()}"


def _form(pictures: list[bytes]) -> bytes:
    head = b'Content-Disposition: form-data; name="image"; filename="a.jpg"'
    parts = [
        b"--%s\r\n%s\r\n\r\n%s\r\n" % (BOUNDARY, head, picture) for picture in pictures
    ]
    return b"".join(parts) + b"--%s--\r\n" % BOUNDARY


def _resident_kb(pid: int) -> int:
    status = Path(f"/proc/{pid}/status")
    if not status.exists():
        pytest.skip("there is no /proc to read the memory of a process from")
    [line] = [row for row in status.read_text().splitlines() if "VmRSS" in row]
    return int(line.split()[1])
