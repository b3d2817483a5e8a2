"""Damaged models end in labels or an `EdgeclfError`, and the process lives on.

Each mutant runs in a process of its own, forked by a child that this file is when it
is started as a program. `EDGECLF_MUTANTS_MODELS` sets how many of each are tried.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import zlib
from pathlib import Path

import model_files as models
import numpy as np
import pytest
import tiny
from ai_edge_litert import schema_py_generated as schema
from mutations import NUM_MODELS, mutated

from edgeclf import Classifier, EdgeclfError, Embedder, ModelError
from edgeclf.export.c_array import c_header
from edgeclf.export.micro_model import micro_model
from edgeclf.metadata import read_model_info
from edgeclf.training.assemble import assemble
from edgeclf.training.head import Head
from edgeclf.training.write_metadata import attach

SEED = 20_000
MAX_SECONDS = 5
MAX_KIBIBYTES = 1 << 20
FATAL = (signal.SIGABRT, signal.SIGALRM, signal.SIGBUS, signal.SIGFPE, signal.SIGSEGV)
RESULT, REFUSED, OTHER_ERROR = 0, 1, 2
IMAGE = np.random.default_rng(7).integers(0, 256, (37, 53, 3), dtype=np.uint8)


def label(content: bytes) -> None:
    with Classifier(content, num_threads=1) as classifier:
        classifier.classify(IMAGE)


def embed(content: bytes) -> None:
    with Embedder(content, num_threads=1) as embedder:
        embedder.embed(IMAGE)


def export(content: bytes) -> None:
    c_header(micro_model(content), None, "x")


def result(content: bytes) -> int:
    """Label, embed and export; return how it ended."""
    ended = RESULT
    for use in (label, embed, export):
        try:
            use(content)
        except EdgeclfError:
            ended = REFUSED
    return ended


def sealed(content: bytes) -> bytes:
    """Attach a record with the checksum of the model as it is, damaged or not."""
    record = json.dumps(models.record(crc32=zlib.crc32(content)))
    return models.with_files(content, {"edgeclf.json": record})


def outcome(content: bytes) -> str | None:
    """Label in a forked process; return None, or what must not happen."""
    started = time.monotonic()
    child = os.fork()
    if not child:
        try:
            for number in FATAL:  # a fuzzer has handlers of its own
                signal.signal(number, signal.SIG_DFL)
            signal.alarm(2 * MAX_SECONDS)
            os._exit(result(content))
        except BaseException as error:  # noqa: BLE001 - told to the parent
            os.write(2, f"{type(error).__name__}: {error}\n".encode())
            os._exit(OTHER_ERROR)
    _, status, usage = os.wait4(child, 0)
    seconds = time.monotonic() - started
    if os.WIFSIGNALED(status):
        return signal.Signals(os.WTERMSIG(status)).name
    if os.WEXITSTATUS(status) == OTHER_ERROR:
        return "an error of another kind"
    if seconds > MAX_SECONDS or usage.ru_maxrss > MAX_KIBIBYTES:
        return f"{seconds:.1f} s, {usage.ru_maxrss} KiB"
    return None


def failures(
    path: Path, tmp_path: Path, *within: range, seal: bool = False
) -> dict[str, str]:
    """Try the mutants of a file; return what went wrong by seed."""
    parts = [[part.start, part.stop] for part in within]
    command = [sys.executable, __file__, path, str(NUM_MODELS), json.dumps(parts)]
    if seal:
        command.append("seal")
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        check=True,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    sys.stdout.write(done.stdout + done.stderr[-2000:])  # pytest shows it on failure
    return dict(json.loads(done.stdout.splitlines()[-1]))


def main(path: str, count: str, parts: str, seal: str = "") -> None:
    content = Path(path).read_bytes()
    within = [range(*part) for part in json.loads(parts)]
    seeds = range(SEED, SEED + int(count))
    sys.stdout.write(f"{path}: seeds {seeds.start} to {seeds.stop - 1}\n")
    finish = sealed if seal else bytes
    found = {seed: outcome(finish(mutated(content, seed, within))) for seed in seeds}
    sys.stdout.write(json.dumps({seed: what for seed, what in found.items() if what}))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks, to survive crashes")
@pytest.mark.parametrize(
    "content",
    [
        models.build(input_type="uint8", output_type="uint8", convolution=True),
        models.build(outside=True),
    ],
    ids=["convolution", "outside"],
)
@pytest.mark.parametrize("seal", [False, True], ids=["", "sealed"])
def test_mutants_end_in_labels_or_an_error(
    content: bytes, seal: bool, tmp_path: Path
) -> None:
    path = tmp_path / "model.tflite"
    path.write_bytes(content)
    assert not failures(path, tmp_path, seal=seal)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks, to survive crashes")
@pytest.mark.parametrize(
    "name",
    ["mobilenet_v1_0.25_224_1_metadata_1.tflite", "mobilenet_v1_0.5_160_quant.tflite"],
)
def test_mutants_of_real_models_end_in_labels_or_an_error(
    name: str, shared: Path, tmp_path: Path
) -> None:
    path = shared / "models" / name
    size = path.stat().st_size
    # The graph lies at the end of these files, in front of the zip; the rest is weights
    assert not failures(path, tmp_path, range(64), range(size - 90_000, size))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks, to survive crashes")
def test_mutants_of_labels_and_record_end_in_labels_or_an_error(
    tmp_path: Path,
) -> None:
    content = models.own()
    path = tmp_path / "model.tflite"
    path.write_bytes(content)
    assert not failures(path, tmp_path, range(content.index(b"PK\3\4"), len(content)))


@pytest.mark.parametrize("change", ["scale", "weights", "size"])
def test_checksum_does_not_vouch_for_a_model(change: str) -> None:
    """Whoever makes a hostile file can compute one."""
    content = models.build(input_type="uint8", output_type="uint8")
    assert result(sealed(content)) == RESULT
    model = schema.ModelT.InitFromPackedBuf(content, 0)
    graph = model.subgraphs[0]
    tensors = {tensor.name: tensor for tensor in graph.tensors}
    if change == "scale":
        tensors[b"scores"].quantization.scale = [1e-45]
    elif change == "weights":
        graph.operators[2].inputs = [graph.operators[2].inputs[0], -1, -1]
    else:
        tensors[b"image"].shape = [1, 20_000, 20_000, 3]
    for use in (label, embed, export):
        with pytest.raises(ModelError, match="Subgraph 0 is damaged"):
            use(sealed(models.pack(model)))


def test_checksum_in_the_record_tells_a_damaged_model() -> None:
    head = Head(np.zeros((3, tiny.DEPTH), np.float32), np.zeros(3, np.float32))
    plain = assemble(tiny.backbone(), head, "final_result")
    record = models.record(bottleneck="features")
    content = attach(plain, models.COLORS, 127.5, 127.5, record)
    assert read_model_info(content).record["crc32"] == zlib.crc32(
        content[: content.index(b"PK\3\4")]
    )
    assert result(content) == RESULT
    weight = content.index(np.full(tiny.DEPTH, 0.5, np.float32).tobytes())
    damaged = bytearray(content)
    damaged[weight] ^= 1
    with pytest.raises(ModelError, match=r"model is damaged: its checksum .* again\."):
        Classifier(bytes(damaged))


if __name__ == "__main__":
    main(*sys.argv[1:])
