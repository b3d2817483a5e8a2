from __future__ import annotations

import contextlib
import dataclasses
import logging
import os
import re
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import hosting
import pytest
from hosting import Server

from edgeclf.errors import DownloadError, ModelError
from edgeclf.zoo import (
    BUNDLED_ARCHITECTURE,
    DEFAULT_ARCHITECTURE,
    cache,
    home,
    load_backbone,
    request,
)
from edgeclf.zoo.hosted import HostedModel, hosted_models
from edgeclf.zoo.load import hosted_backbone

ROOT = Path(__file__).resolve().parents[1]
TINY = hosting.tiny_model()
ARCHIVE = hosting.archive_of(
    hosting.member("./"), hosting.member("./tiny.tflite", TINY)
)
PADDED = hosting.archive_of(  # does not get smaller, for slow downloads
    hosting.member("tiny.tflite", TINY),
    hosting.member("checkpoint", os.urandom(200_000)),
)
WHAT_ELSE = (
    f"name the bundled backbone {BUNDLED_ARCHITECTURE}, which needs no network; set "
    "EDGECLF_MIRROR to a server that has the same files; or give the path of a "
    ".tflite file."
)
COMMAND = """
import sys
from edgeclf.zoo.hosted import HostedModel
from edgeclf.zoo.load import hosted_backbone
name, url, sha256 = sys.argv[1:]
backbone = hosted_backbone(HostedModel(name, "float32", (8, 8), url, sha256))
print(backbone.sha256)
"""


@pytest.fixture(autouse=True)
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """No test reads or writes the user's own cache."""
    monkeypatch.setenv("EDGECLF_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("EDGECLF_MIRROR", raising=False)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    return tmp_path / "home"


@pytest.fixture
def server() -> Iterator[Server]:
    with hosting.running() as server:
        yield server


def kept() -> list[str]:
    with contextlib.suppress(FileNotFoundError):
        return sorted(path.name for path in cache.default_folder().iterdir())
    return []


def process(model: HostedModel, **options: object) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", COMMAND, model.name, model.url, model.sha256],
        cwd=ROOT,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        **options,
    )


def refused_address(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every download go to a port where nobody listens."""
    monkeypatch.setenv("EDGECLF_MIRROR", "http://127.0.0.1:9")


def test_hosted_backbone_downloads_once_and_keeps_the_model(server: Server) -> None:
    model = server.host("tiny", ARCHIVE)
    first = hosted_backbone(model)
    assert (first.name, first.input_size, first.depth) == ("tiny", (8, 8), 3)
    assert first.source == f"{model.url} (SHA-256 {model.sha256})"
    assert len(kept()) == 1
    assert kept()[0].startswith(f"tiny-{model.sha256[:16]}-")
    assert hosted_backbone(model) == first
    assert len(server.requests) == 1


def test_hosted_float_models_are_known_to_take_minus_one_to_one(
    server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "edgeclf")
    model = server.host("tiny", ARCHIVE)
    backbone = hosted_backbone(model)
    assert (backbone.input_mean, backbone.input_std) == (127.5, 127.5)
    assert "--input_mean" not in caplog.text
    changed = hosted_backbone(model, (0.0, 255.0))
    assert (changed.input_mean, changed.input_std) == (0.0, 255.0)


def test_hosted_quantized_models_say_themselves_what_they_take(
    server: Server, shared: Path
) -> None:
    content = (shared / "models" / "mobilenet_v1_0.5_160_quant.tflite").read_bytes()
    archive = hosting.archive_of(hosting.member("./a_quant.tflite", content))
    backbone = hosted_backbone(server.host("a_quant", archive, dtype="uint8"))
    assert (backbone.input_size, backbone.depth) == ((160, 160), 512)
    assert backbone.input_std == pytest.approx(127.5, abs=1)


def test_hosted_classifier_is_cut_to_its_features(server: Server, shared: Path) -> None:
    path = shared / "models" / "mobilenet_v1_0.25_224_1_metadata_1.tflite"
    archive = hosting.archive_of(hosting.member("./tiny.tflite", path.read_bytes()))
    backbone = hosted_backbone(server.host("tiny", archive))
    assert backbone.depth == 256
    assert len(backbone.content) < path.stat().st_size / 2


@pytest.mark.parametrize("damage", [b"", TINY[:-1], TINY + b"\0", b"x" * len(TINY)])
def test_damaged_entry_is_noticed_and_fetched_again(
    server: Server, caplog: pytest.LogCaptureFixture, damage: bytes
) -> None:
    model = server.host("tiny", ARCHIVE)
    backbone = hosted_backbone(model)
    entry = cache.default_folder() / kept()[0]
    entry.write_bytes(damage)
    assert hosted_backbone(model) == backbone
    assert entry.read_bytes() == TINY
    assert len(server.requests) == 2
    warnings = [line for line in caplog.messages if "damaged" in line]
    assert warnings == [f"The kept model {entry} is damaged; fetching it again."]


def test_entry_of_another_archive_of_that_name_is_not_used(server: Server) -> None:
    hosted_backbone(server.host("tiny", ARCHIVE))
    hosted_backbone(server.host("tiny", PADDED))
    assert len(server.requests) == 2
    assert len(kept()) == 2


def test_wrong_checksum_leaves_nothing_behind(server: Server) -> None:
    model = server.host("tiny", ARCHIVE, sha256="0" * 64)
    with pytest.raises(DownloadError, match=r"Expected SHA-256 0000.* Received: "):
        hosted_backbone(model)
    assert kept() == []


def test_archive_without_a_model_leaves_nothing_behind(server: Server) -> None:
    model = server.host("tiny", hosting.archive_of(hosting.member("a.pb", b"graph")))
    with pytest.raises(DownloadError, match="Received: none in http://127"):
        hosted_backbone(model)
    assert kept() == []


def test_missing_file_leaves_nothing_behind(server: Server) -> None:
    model = server.host("tiny", ARCHIVE, url=f"{server.address}/elsewhere.tgz")
    with pytest.raises(DownloadError, match="answered 404"):
        hosted_backbone(model)
    assert kept() == []


def test_home_that_cannot_be_made_is_a_sentence(
    server: Server, own_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own_home.write_text("a file where the folder should be")
    with pytest.raises(
        DownloadError, match=f"Cannot write {own_home}.*set EDGECLF_HOME to a folder"
    ):
        hosted_backbone(server.host("tiny", ARCHIVE))
    assert server.requests == []


@pytest.mark.parametrize("limit_bytes", [50_000, 0])
def test_full_disk_is_a_sentence(server: Server, limit_bytes: int) -> None:
    def limit() -> None:  # a file that may not grow fails as a full disk does
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit_bytes, limit_bytes))

    ended = process(server.host("tiny", PADDED), preexec_fn=limit)
    _, errors = ended.communicate(timeout=60)
    assert ended.returncode == 1
    last = errors.strip().splitlines()[-1]
    assert re.match(r"edgeclf\.errors\.DownloadError: Cannot write .*part: ", last)
    assert "Free some space, or set EDGECLF_HOME" in last
    assert kept() == []


def test_two_processes_at_once_download_once(server: Server) -> None:
    server.normally = hosting.slowly(0.02, 10_000)
    model = server.host("tiny", PADDED)
    both = [process(model), process(model)]
    results = [started.communicate(timeout=60) for started in both]
    assert [ended.returncode for ended in both] == [0, 0], results
    assert results[0][0] == results[1][0] != ""
    assert len(server.requests) == 1
    assert len(kept()) == 1


def test_killed_process_is_continued_by_the_next(server: Server) -> None:
    server.script = [hosting.slowly(0.05, 5_000)]
    model = server.host("tiny", PADDED)
    killed = process(model)
    until = time.monotonic() + 60
    while not (kept() and (cache.default_folder() / kept()[0]).stat().st_size > 20_000):
        assert time.monotonic() < until, "the download did not start"
        time.sleep(0.02)
    killed.send_signal(signal.SIGKILL)
    killed.communicate(timeout=60)
    [part] = kept()
    size_bytes = (cache.default_folder() / part).stat().st_size
    assert part.endswith(".tgz.part")
    hosted_backbone(model)
    assert server.requests[1][1] == f"bytes={size_bytes}-"
    assert [name.endswith(".tflite") for name in kept()] == [True]


def test_waiting_process_takes_over_from_a_killed_one(server: Server) -> None:
    server.script = [hosting.slowly(0.05, 5_000)]
    model = server.host("tiny", PADDED)
    killed = process(model)
    until = time.monotonic() + 60
    while not kept():
        assert time.monotonic() < until, "the download did not start"
        time.sleep(0.02)
    waiting = process(model)
    time.sleep(0.5)
    killed.send_signal(signal.SIGKILL)
    killed.communicate(timeout=60)
    output, errors = waiting.communicate(timeout=60)
    assert waiting.returncode == 0, errors
    assert output.strip() == hosted_backbone(model).sha256
    assert [name.endswith(".tflite") for name in kept()] == [True]


def test_named_model_is_found_in_the_cache_without_network(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    refused_address(monkeypatch)
    cache.write_model_file(
        hosted_models()[DEFAULT_ARCHITECTURE], cache.default_folder(), TINY
    )
    backbone = load_backbone("mobilenet_0.50_224")
    assert backbone.name == DEFAULT_ARCHITECTURE
    assert load_backbone() == load_backbone(DEFAULT_ARCHITECTURE) == backbone


def test_named_model_that_cannot_be_had_is_an_error_with_advice(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    refused_address(monkeypatch)
    impatient = dataclasses.replace(request.PATIENT, pause_s=0.01)
    monkeypatch.setattr(request, "PATIENT", impatient)
    with pytest.raises(DownloadError) as caught:
        load_backbone("mobilenet_0.50_224")
    assert str(caught.value).startswith(
        "Cannot download http://127.0.0.1:9/download.tensorflow.org/models/"
        "mobilenet_v1_2018_02_22/mobilenet_v1_0.5_224.tgz: "
    )
    assert str(caught.value).endswith(WHAT_ELSE)
    assert kept() == []


def test_default_falls_back_to_the_bundled_one_with_one_line(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "edgeclf")
    refused_address(monkeypatch)
    started = time.monotonic()
    backbone = load_backbone()
    assert time.monotonic() - started < 3
    assert backbone.name == BUNDLED_ARCHITECTURE
    [line] = caplog.messages
    assert line.startswith(f"The default backbone {DEFAULT_ARCHITECTURE} cannot be had")
    assert line.endswith(f"); using the bundled {BUNDLED_ARCHITECTURE}.")
    assert "\n" not in line
    assert caplog.records[0].levelname == "WARNING"


def test_default_does_not_wait_long_for_a_silent_server(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert request.BRIEF.answer_s * request.BRIEF.calls <= 5
    brief = dataclasses.replace(request.BRIEF, answer_s=0.2)
    monkeypatch.setattr(request, "BRIEF", brief)
    monkeypatch.setenv("EDGECLF_MIRROR", server.address)
    server.normally = hosting.silent
    assert load_backbone().name == BUNDLED_ARCHITECTURE
    assert len(server.requests) == 1


def test_default_is_asked_for_again_after_a_fall_back(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EDGECLF_MIRROR", server.address)
    for count in (1, 2):
        assert load_backbone().name == BUNDLED_ARCHITECTURE
        assert len(server.requests) == count
    assert kept() == []


def test_default_from_a_server_with_another_file_falls_back(
    server: Server, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("EDGECLF_MIRROR", server.address)
    model = hosted_models()[DEFAULT_ARCHITECTURE]
    server.files["/" + model.url.split("/", 3)[3]] = ARCHIVE
    assert load_backbone().name == BUNDLED_ARCHITECTURE
    assert f"Expected SHA-256 {model.sha256}" in caplog.text
    assert kept() == []


def test_bundled_backbone_needs_no_network_and_says_nothing(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "edgeclf")
    refused_address(monkeypatch)
    backbone = load_backbone(BUNDLED_ARCHITECTURE)
    assert (backbone.input_size, backbone.depth) == ((224, 224), 1280)
    assert (backbone.input_mean, backbone.input_std) == (127.5, 127.5)
    assert "torchvision" in backbone.source
    assert caplog.messages == []
    assert kept() == []


def test_file_is_loaded_by_its_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "edgeclf")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mein ł.tflite").write_bytes(TINY)
    (tmp_path / "model").write_bytes(TINY)
    backbone = load_backbone("mein ł.tflite")
    assert (backbone.name, backbone.depth) == ("mein ł", 3)
    assert backbone.source.startswith("mein ł.tflite (SHA-256 ")
    assert any("--input_mean" in line for line in caplog.messages)
    assert load_backbone("./model").content == backbone.content
    changed = load_backbone(str(tmp_path / "model"), input_mean=0, input_std=1)
    assert (changed.input_mean, changed.input_std) == (0, 1)


def test_missing_file_is_named() -> None:
    with pytest.raises(FileNotFoundError, match=r"Received: a/b\.tflite, which does"):
        load_backbone("a/b.tflite")


@pytest.mark.parametrize(
    "name",
    ["weights.h5", "model.keras", "https://tfhub.dev/google/a/1", "{folder}"],
)
def test_what_must_be_converted_names_the_command(name: str, tmp_path: Path) -> None:
    name = name.format(folder=tmp_path)
    with pytest.raises(ModelError, match=re.escape(f"edgeclf convert {name} --output")):
        load_backbone(name)


def test_file_that_is_no_model_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "text.tflite").write_text("hello, this is a text")
    with pytest.raises(ModelError, match="Expected a TFLite model"):
        load_backbone(str(tmp_path / "text.tflite"))


def test_unknown_name_is_refused_without_network(server: Server) -> None:
    with pytest.raises(ValueError, match=r"Close names: .*mobilenet_v1_0\.50_224"):
        load_backbone("mobilnet_v1_0.5_224")
    with pytest.raises(ValueError, match="Close names: keras/vgg16"):
        load_backbone("keras/vgg19")
    assert kept() == []


@pytest.mark.parametrize(
    ("variables", "folder"),
    [
        ({"EDGECLF_HOME": "/a/b", "XDG_CACHE_HOME": "/x"}, "/a/b"),
        ({"EDGECLF_HOME": "~/b"}, "/me/b"),
        ({"EDGECLF_HOME": "", "XDG_CACHE_HOME": "/x"}, "/x/edgeclf"),
        ({"XDG_CACHE_HOME": "relative"}, "/me/.cache/edgeclf"),
        ({"XDG_CACHE_HOME": ""}, "/me/.cache/edgeclf"),
        ({}, "/me/.cache/edgeclf"),
    ],
)
def test_home_follows_the_variables(
    variables: dict[str, str], folder: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", "/me")
    for name in ("EDGECLF_HOME", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert home() == Path(folder)


def test_home_is_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("EDGECLF_HOME", "here")
    assert home() == tmp_path / "here"


def test_home_of_nobody_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDGECLF_HOME", "~no-such-user/models")
    with pytest.raises(DownloadError, match="Set EDGECLF_HOME to a folder"):
        home()


def test_import_of_the_zoo_loads_neither_an_interpreter_nor_urllib() -> None:
    code = (
        "import sys, edgeclf.zoo; "
        "print([name for name in ('ai_edge_litert', 'urllib.request', 'tqdm', "
        "'tensorflow') if name in sys.modules])"
    )
    ended = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert ended.stdout.strip() == "[]"


def test_models_can_be_kept_in_a_folder_of_the_users_choice(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    refused_address(monkeypatch)
    folder = tmp_path / "tf_files" / "models"
    cache.write_model_file(hosted_models()[DEFAULT_ARCHITECTURE], folder, TINY)
    assert load_backbone(DEFAULT_ARCHITECTURE, folder=folder).depth
    assert kept() == []
