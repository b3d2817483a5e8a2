"""Labelling pictures of an S3 store into it, also when the store is slow and fails."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import model_files as models
import numpy as np
import pytest
from killing import Ended, edgeclf, finished
from PIL import Image

for package in ("s3fs", "moto", "boto3", "flask"):
    pytest.importorskip(package, reason="needs moto[s3,server] and s3fs")
pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")

from object_store import (  # noqa: E402
    Proxy,
    client,
    object_store,
    proxy,
    storage_options,
)
from ray_cluster import BUSY, NOT_STARTED, heavy  # noqa: E402

BUCKET = "bucket"
NUM_PICTURES, PARTITION_SIZE = 64, 8
# Half a second of latency for all requests one after the other, each tenth or so fails.
TROUBLE = {"latency_s": 0.005, "slow_down_every": 7, "reset_every": 11, "broken_at": 40}


@pytest.fixture(scope="module")
def pictures() -> dict[str, bytes]:
    """Content by name; two are damaged."""
    random = np.random.default_rng(9)
    contents = {}
    for number in range(NUM_PICTURES):
        file = io.BytesIO()
        pixels = random.integers(0, 256, (12, 12, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(file, "PNG")
        content = file.getvalue()
        contents[f"{number:03}.png"] = content[:70] if number % 40 == 7 else content
    return contents


class Bucket:
    """The bucket that tests label in, directly and through the proxy."""

    def __init__(self, port: int, before: Proxy, model: Path) -> None:
        self.port, self.proxy, self.model = port, before, model
        self.client = client(port)
        self.client.create_bucket(Bucket=BUCKET)

    def put(self, name: str, content: bytes) -> None:
        self.client.put_object(Bucket=BUCKET, Key=name, Body=content)

    def label(
        self, source: str, output: str, *options: object, port: int = 0, **store: Any
    ) -> Ended:
        """Run `edgeclf label` through the proxy, or on another port."""
        known = storage_options(port or self.proxy.port, **store)
        return finished(
            edgeclf(
                *("label", f"s3://{BUCKET}/{source}"),
                *("--output", f"s3://{BUCKET}/{output}", "--model", self.model),
                *("--partition_size", PARTITION_SIZE, "--workers", 2),
                *("--storage_options", json.dumps(known), *options),
            )
        )

    def results(self, output: str) -> dict[str, bytes]:
        return {
            name: self.client.get_object(Bucket=BUCKET, Key=f"{output}/{name}")[
                "Body"
            ].read()
            for name in self.written(output)
        }

    def written(self, output: str) -> dict[str, Any]:
        """Return the time at which each file of results was written."""
        found = self.client.list_objects_v2(Bucket=BUCKET, Prefix=f"{output}/part-")
        return {
            each["Key"].rpartition("/")[2]: each["LastModified"]
            for each in found.get("Contents", [])
        }

    def rows(self, output: str) -> list[dict[str, Any]]:
        return [
            row
            for content in self.results(output).values()
            for row in pq.read_table(io.BytesIO(content)).to_pylist()
        ]


@pytest.fixture(scope="module")
def bucket(
    tmp_path_factory: pytest.TempPathFactory, pictures: dict[str, bytes]
) -> Iterator[Bucket]:
    model = tmp_path_factory.mktemp("s3") / "model.tflite"
    model.write_bytes(models.own())
    with object_store() as port, proxy(port) as before:
        bucket = Bucket(port, before, model)
        for name, content in pictures.items():
            bucket.put(f"pictures/{name}", content)
        yield bucket


@pytest.fixture(scope="module")
def expected(bucket: Bucket) -> dict[str, bytes]:
    """What a store without trouble holds in the end; every picture is there once."""
    done = bucket.label("pictures", "undisturbed", port=bucket.port)
    assert done.status == 1, done.stderr  # two pictures are damaged
    rows = bucket.rows("undisturbed")
    names = [row["path"].rpartition("/")[2] for row in rows]
    assert sorted(names) == [f"{number:03}.png" for number in range(NUM_PICTURES)]
    assert sum(row["error"] is not None for row in rows) == 2
    return bucket.results("undisturbed")


@pytest.mark.parametrize("engine", ["local", pytest.param("ray", marks=heavy)])
def test_label_s3_bears_a_slow_and_failing_store(
    bucket: Bucket, expected: dict[str, bytes], engine: str
) -> None:
    if engine == "ray":
        pytest.importorskip("ray.data", reason="ray[data] is not installed")
    bucket.proxy.behave(**TROUBLE)
    done = bucket.label("pictures", engine, "--engine", engine)
    if NOT_STARTED in done.stderr:
        pytest.skip(BUSY)
    assert done.status == 1, done.stderr
    assert f"{NUM_PICTURES} pictures labelled" in done.stdout
    assert bucket.proxy.num_failed > NUM_PICTURES / 10
    assert bucket.results(engine) == expected


def test_label_s3_store_that_stays_away_is_a_sentence_and_the_next_run_goes_on(
    bucket: Bucket, expected: dict[str, bytes]
) -> None:
    bucket.proxy.behave(away_at=90)
    impatient = {"retries": {"max_attempts": 1}, "connect_timeout": 2}
    done = bucket.label("pictures", "gone", config_kwargs=impatient)
    assert done.status == 1
    assert "error: " in done.stderr and "Traceback" not in done.stderr
    before = bucket.written("gone")
    assert 0 < len(before) < len(expected)

    bucket.proxy.behave()
    done = bucket.label("pictures", "gone")
    assert "were there already" in done.stdout, done.stderr
    assert bucket.results("gone") == expected
    after = bucket.written("gone")
    assert {name: after[name] for name in before} == before


def test_label_s3_table_of_pictures(
    bucket: Bucket, pictures: dict[str, bytes], expected: dict[str, bytes]
) -> None:
    table = pa.table(
        {"path": list(pictures), "image": pa.array(pictures.values(), pa.binary())}
    )
    file = io.BytesIO()
    pq.write_table(table, file)
    bucket.put("table/pictures.parquet", file.getvalue())
    bucket.proxy.behave(**TROUBLE)
    done = bucket.label("table", "from_table", "--column", "image")
    assert done.status == 1, done.stderr
    rows = bucket.rows("from_table")
    assert len(rows) == NUM_PICTURES
    scores = sorted(tuple(row["scores"] or ()) for row in rows)
    wanted = sorted(tuple(row["scores"] or ()) for row in bucket.rows("undisturbed"))
    assert scores == wanted
