"""A server that teaches, with a tiny backbone, and pictures for it."""

from __future__ import annotations

import io
import json
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import tiny
from PIL import Image
from web_server import WebServer, serving

COLORS = {"red": (210, 50, 40), "green": (60, 180, 50), "blue": (40, 70, 200)}
TRAINING_S = 60


class Teacher:
    """What a browser does, against a server.

    Attributes:
        server: The process.
        client: Of its API, at `/v1/teach/projects`.
    """

    def __init__(self, server: WebServer) -> None:
        self.server = server
        self.client = httpx.Client(base_url=f"{server.url}/v1/teach", timeout=30)

    def call(self, method: str, path: str, **more: Any) -> httpx.Response:
        return self.client.request(method, f"/projects{path}", **more)

    def get(self, path: str) -> Any:
        return self.call("GET", path).raise_for_status().json()

    def make(self, project: str, pictures: Mapping[str, int]) -> None:
        """Make a project with so many pictures of each class."""
        made = self.call("POST", "", json={"name": project})
        assert made.status_code == 201, made.text
        for label, count in pictures.items():
            path = f"/{project}/classes"
            self.call("POST", path, json={"name": label}).raise_for_status()
            if count:
                self.add(project, label, [jpeg(label, seed) for seed in range(count)])

    def add(self, project: str, label: str, contents: list[bytes]) -> Any:
        answer = self.post_pictures(project, label, contents)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def post_pictures(
        self, project: str, label: str, contents: list[bytes]
    ) -> httpx.Response:
        files = [
            ("image", (f"{number}.jpg", content))
            for number, content in enumerate(contents)
        ]
        return self.call("POST", f"/{project}/classes/{label}/pictures", files=files)

    def train(self, project: str) -> Any:
        """Train, and return how that has ended."""
        begun = self.call("POST", f"/{project}/training", json={})
        assert begun.status_code == 202, begun.text
        return self.wait(project)

    def wait(self, project: str, until: tuple[str, ...] = ()) -> Any:
        """Return the status once it is final, or one of some states."""
        wanted = until or ("done", "failed", "cancelled")
        end_s = time.monotonic() + TRAINING_S
        while time.monotonic() < end_s:
            status = self.get(f"/{project}/training")
            if status["state"] in wanted:
                return status
            time.sleep(0.05)
        raise AssertionError(f"Expected {wanted}. Received: {status}")

    def events(self, project: str) -> list[Any]:
        """Return all that a training tells, to its end."""
        path = f"/projects/{project}/training/events"
        with self.client.stream("GET", path, timeout=TRAINING_S) as answer:
            assert answer.headers["content-type"].startswith("text/event-stream")
            lines = [line for line in answer.iter_lines() if line.startswith("data:")]
        return [json.loads(line.removeprefix("data:")) for line in lines]


@contextmanager
def teaching(folder: Path) -> Iterator[Teacher]:
    """Run a server that teaches in a folder; its backbone lies beside that."""
    backbone = folder.resolve().parent / "backbone.tflite"
    if not backbone.exists():
        backbone.write_bytes(tiny.backbone_file())
    with serving("--teach", folder, "--architecture", backbone) as server:
        teacher = Teacher(server)
        with teacher.client:
            yield teacher


def jpeg(color: str = "red", seed: int = 0) -> bytes:
    """A picture of one colour; another seed gives another picture."""
    source = np.random.default_rng(seed)
    base = np.array(COLORS.get(color, (120, 120, 120)))
    coarse = base + source.integers(-25, 26, (6, 8, 3))
    image = Image.fromarray(coarse.clip(0, 255).astype(np.uint8)).resize((80, 60))
    file = io.BytesIO()
    image.save(file, "JPEG", quality=90)
    return file.getvalue()
