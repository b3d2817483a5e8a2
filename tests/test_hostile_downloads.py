"""Servers that want to do harm, against what fetches pictures and backbones."""

from __future__ import annotations

import gzip
import hashlib
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import hosting
import pytest
from hosting import Server

from edgeclf.errors import DownloadError
from edgeclf.inputs.fetch import Limits, fetch_image
from edgeclf.zoo import cache
from edgeclf.zoo.download import fetch
from edgeclf.zoo.hosted import HostedModel
from edgeclf.zoo.load import hosted_backbone
from edgeclf.zoo.request import Patience

PATIENCE = Patience(answer_s=10, read_s=0.3, attempts=2, calls=2, pause_s=0.01)
LONGEST_S = 30  # for what takes a second: other things run here too
SMALL = Limits(size_bytes=1 << 20)
ARCHIVE = hosting.archive_of(hosting.member("tiny.tflite", hosting.tiny_model()))
PICTURE = b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 100
BOMB = gzip.compress(bytes(64 << 20))  # 64 MiB in 64 KiB
OUTSIDE = b"root:x:0:0:not for you"


@pytest.fixture(autouse=True)
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """No test reads or writes the user's own cache."""
    monkeypatch.setenv("EDGECLF_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("EDGECLF_MIRROR", raising=False)
    monkeypatch.setenv("no_proxy", "127.0.0.1,localhost")
    return tmp_path / "home"


@pytest.fixture
def server() -> Iterator[Server]:
    with hosting.running() as server:
        server.files["/a.png"] = PICTURE
        yield server


def fetched(model: HostedModel, folder: Path, patience: Patience = PATIENCE) -> bytes:
    path = folder / "tiny.tgz.part"
    with path.open("a+b", buffering=0) as part:
        fetch(model, part, patience)
    return path.read_bytes()


def headers(*lines: bytes) -> bytes:
    return b"\r\n".join([b"HTTP/1.1 200 OK", *lines, b"", b""])


# What a backbone's server may answer, all of it wrong.
ANSWERS = {
    "body longer than announced": hosting.raw(headers(b"Content-Length: 10"), ARCHIVE),
    "body shorter than announced": hosting.cut_after(50, ranges=False),
    "negative length": hosting.raw(headers(b"Content-Length: -1"), b"x" * 100),
    "two lengths": hosting.raw(
        headers(b"Content-Length: 5", b"Content-Length: 7"), b"x" * 100
    ),
    "length that is no number": hosting.raw(
        headers(b"Content-Length: 1e3"), b"x" * 100
    ),
    "packed once more": hosting.raw(
        headers(b"Content-Encoding: gzip", b"Content-Length: %d" % len(BOMB)), BOMB
    ),
    "chunks without end": hosting.raw(
        headers(b"Transfer-Encoding: chunked"), b"fffffffffff\r\n" + b"x" * 1000
    ),
    "chunk of a negative size": hosting.raw(
        headers(b"Transfer-Encoding: chunked"), b"-5\r\nabc"
    ),
    "one huge header": hosting.raw(headers(b"A: " + b"a" * (1 << 20)), ARCHIVE),
    "many headers": hosting.raw(headers(*[b"A: b"] * 10_000), ARCHIVE),
    "another file": hosting.saying(200, OUTSIDE),
    "a page": hosting.saying(200, b"<html>Log in", Content_Type="text/html"),
    "nothing": hosting.saying(200),
    "no http": hosting.raw(b"SSH-2.0-OpenSSH_9.2\r\n"),
    "redirect to a file": hosting.redirect_to("file:///etc/passwd"),
    "redirect to itself": hosting.redirect_to("/models/tiny.tgz"),
    "redirect to nowhere": hosting.saying(302),
    "redirect with a second header": hosting.raw(
        b"HTTP/1.1 302 Found\r\nLocation: /x%0d%0aEvil: 1\r\nContent-Length: 0\r\n\r\n"
    ),
}


@pytest.mark.parametrize("answer", ANSWERS)
def test_wrong_answer_leaves_no_backbone(
    server: Server, answer: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edgeclf.zoo.request.PATIENT", PATIENCE)
    server.normally = ANSWERS[answer]
    started = time.monotonic()
    with pytest.raises(DownloadError) as caught:
        hosted_backbone(server.host("tiny", ARCHIVE))
    assert time.monotonic() - started < LONGEST_S
    said = str(caught.value)
    assert said.isprintable()
    assert re.search(r"Received: |Cannot download ", said)
    folder = cache.default_folder()
    assert [path.name for path in folder.glob("*.tflite")] == []
    # What came stays only where the connection was cut, for the next attempt.
    assert all(path.name.endswith(".part") for path in folder.iterdir())
    server.normally = hosting.serve
    assert hosted_backbone(server.host("tiny", ARCHIVE)).depth == 3
    assert len(list(folder.iterdir())) == 1


def test_drip_counts_as_cut(server: Server, tmp_path: Path) -> None:
    server.normally = hosting.slowly(0.05, 10)  # 200 bytes a second, for ever
    model = server.host("tiny", ARCHIVE * 100)
    started = time.monotonic()
    with pytest.raises(DownloadError, match=r"brought \d+ bytes in 0 s"):
        fetched(model, tmp_path)
    assert time.monotonic() - started < LONGEST_S
    # What is slow but not that slow comes whole, however long that takes.
    server.normally = hosting.slowly(0.02, 5_000)
    content = bytes(range(256)) * 400
    assert fetched(server.host("tiny", content), tmp_path) == content


def test_header_that_drips_is_given_up(server: Server, tmp_path: Path) -> None:
    server.normally = hosting.raw(
        b"HTTP/1.1 200 OK\r\n", *[b"A: b\r\n"] * 90, pause_s=0.1
    )
    started = time.monotonic()
    patience = replace(PATIENCE, answer_s=0.5)
    with pytest.raises(DownloadError, match=r"no answer within 0\.5 s"):
        fetched(server.host("tiny", ARCHIVE), tmp_path, patience)
    assert time.monotonic() - started < LONGEST_S


def test_server_cannot_write_to_the_terminal(server: Server, tmp_path: Path) -> None:
    server.normally = hosting.raw(
        b"HTTP/1.1 404 \x1b[2J\x1b]0;pwned\x07\r\nContent-Length: 0\r\n\r\n"
    )
    with pytest.raises(DownloadError, match="answered 404") as caught:
        fetched(server.host("tiny", ARCHIVE), tmp_path)
    assert str(caught.value).isprintable()
    with pytest.raises(DownloadError, match="answered 404") as caught:
        fetch_image(f"{server.address}/a.png", allow_private=True)
    assert str(caught.value).isprintable()


def test_password_of_a_redirect_is_not_shown(server: Server, tmp_path: Path) -> None:
    for place in ("ftp://%s:9/a", "http://%s:9/a", "http://%s/a", "https://%s/a"):
        server.normally = hosting.redirect_to(place % "me:hunter2@127.0.0.1")
        with pytest.raises(DownloadError) as caught:
            fetched(server.host("tiny", ARCHIVE), tmp_path)
        assert "hunter2" not in str(caught.value)
        with pytest.raises(DownloadError) as caught:
            fetch_image(f"{server.address}/a.png", allow_private=True)
        assert "hunter2" not in str(caught.value)


def test_no_redirect_leads_from_https_to_http(
    certificate: Path, server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    with hosting.running(certificate) as secure:
        there = f"https://localhost:{secure.server_address[1]}"
        secure.normally = hosting.redirect_to(f"{server.address}/models/tiny.tgz")
        model = server.host("tiny", ARCHIVE)  # the right file, with the right sum
        model = HostedModel("tiny", "float32", (8, 8), f"{there}/a", model.sha256)
        with pytest.raises(DownloadError, match=r"redirected to http://127.*as safe"):
            fetched(model, tmp_path)
        with pytest.raises(DownloadError, match=r"redirected to http://127.*as safe"):
            fetch_image(f"{there}/a.png", allow_private=True)
    assert server.requests == []
    # To https, from either, both go.
    with hosting.running(certificate) as secure:
        there = f"https://localhost:{secure.server_address[1]}"
        secure.files["/b"] = ARCHIVE
        secure.files["/a.png"] = PICTURE
        server.normally = hosting.redirect_to(f"{there}/b")
        assert fetched(server.host("tiny", ARCHIVE), tmp_path) == ARCHIVE
        server.normally = hosting.redirect_to(f"{there}/a.png")
        assert fetch_image(f"{server.address}/x", allow_private=True) == PICTURE


def test_packed_answer_is_refused_before_it_is_unpacked(server: Server) -> None:
    server.normally = hosting.raw(
        headers(b"Content-Encoding: gzip", b"Content-Type: image/png"), BOMB
    )
    with pytest.raises(DownloadError, match="expected a plain answer, received gzip"):
        fetch_image(f"{server.address}/a.png", allow_private=True, limits=SMALL)


def test_endless_chunks_are_cut(server: Server) -> None:
    chunk = b"10000\r\n" + bytes(1 << 16) + b"\r\n"
    server.normally = hosting.raw(headers(b"Transfer-Encoding: chunked"), *[chunk] * 99)
    with pytest.raises(DownloadError, match="larger than 1048576 bytes"):
        fetch_image(f"{server.address}/a.png", allow_private=True, limits=SMALL)


PROCESS = """
import sys
from pathlib import Path
from edgeclf.inputs.fetch import fetch_image
from edgeclf import files
files.write_bytes(sys.argv[2], fetch_image(sys.argv[1], allow_private=True))
"""


def test_downloads_of_two_processes_do_not_mix(server: Server, tmp_path: Path) -> None:
    """Each writes beside the target and moves: the last one wins, whole."""
    server.normally = hosting.slowly(0.01, 2_000)
    target = tmp_path / "here" / "a.png"
    address = f"{server.address}/a.png"
    command = [sys.executable, "-c", PROCESS, address, str(target)]
    both = [subprocess.Popen(command) for _ in range(2)]
    assert [process.wait(120) for process in both] == [0, 0]
    digest = hashlib.sha256(target.read_bytes()).digest()
    assert digest == hashlib.sha256(PICTURE).digest()
    assert list(target.parent.iterdir()) == [target]
