from __future__ import annotations

import gzip
import hashlib
import io
import logging
import random
import socket
import struct
import tarfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hosting import (
    Server,
    archive_of,
    cut_after,
    member,
    redirect_to,
    running,
    silent,
    stall_after,
    status,
    unannounced,
    without_ranges,
    wrong_range,
)

from edgeclf.errors import DownloadError
from edgeclf.zoo import archive, download, request
from edgeclf.zoo.archive import read_tflite
from edgeclf.zoo.download import fetch
from edgeclf.zoo.hosted import HostedModel
from edgeclf.zoo.request import Patience, mirrored

PATIENCE = Patience(answer_s=1.0, read_s=0.3, attempts=3, calls=2, pause_s=0.01)
CONTENT = random.Random(0).randbytes(300_000)  # noqa: S311 - not a secret
LABEL = "https://host/models/tiny.tgz"


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.delenv("EDGECLF_MIRROR", raising=False)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with running() as server:
        yield server


@pytest.fixture
def part(tmp_path: Path) -> Path:
    return tmp_path / "tiny.tgz.part"


def fetched(model: HostedModel, part: Path, patience: Patience = PATIENCE) -> bytes:
    with part.open("a+b", buffering=0) as file:
        fetch(model, file, patience)
    return part.read_bytes()


def ranges(server: Server) -> list[str | None]:
    return [asked for _, asked in server.requests]


def test_fetch_brings_the_file(server: Server, part: Path) -> None:
    assert fetched(server.host("tiny", CONTENT), part) == CONTENT
    assert server.requests == [("/models/tiny.tgz", None)]


def test_fetch_brings_a_file_of_unknown_length(server: Server, part: Path) -> None:
    server.script = [unannounced]
    assert fetched(server.host("tiny", CONTENT), part) == CONTENT


def test_fetch_says_what_it_downloads(
    server: Server, part: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "edgeclf")
    fetched(server.host("tiny", CONTENT), part)
    host = server.address.removeprefix("http://")
    assert caplog.messages == [f"Downloading tiny (0.3 MB) from {host}."]


def test_fetch_resumes_what_another_run_left(server: Server, part: Path) -> None:
    part.write_bytes(CONTENT[:123_456])
    assert fetched(server.host("tiny", CONTENT), part) == CONTENT
    assert ranges(server) == ["bytes=123456-"]


def test_fetch_asks_nothing_when_all_is_there(server: Server, part: Path) -> None:
    part.write_bytes(CONTENT)
    assert fetched(server.host("tiny", CONTENT), part) == CONTENT
    assert server.requests == []


def test_fetch_starts_again_where_the_server_has_no_ranges(
    server: Server, part: Path
) -> None:
    server.normally = without_ranges
    part.write_bytes(CONTENT[:1000])
    assert fetched(server.host("tiny", CONTENT), part) == CONTENT
    assert ranges(server) == ["bytes=1000-"]


def test_fetch_starts_again_after_leftovers_of_another_file(
    server: Server, part: Path
) -> None:
    part.write_bytes(b"not the beginning of it")
    assert fetched(server.host("tiny", CONTENT), part) == CONTENT
    assert ranges(server) == ["bytes=23-", None]


def test_fetch_starts_again_after_leftovers_longer_than_the_file(
    server: Server, part: Path
) -> None:
    part.write_bytes(bytes(len(CONTENT) + 1))
    assert fetched(server.host("tiny", CONTENT), part) == CONTENT
    assert ranges(server) == ["bytes=300001-", None]


def test_fetch_starts_again_after_a_wrong_range(server: Server, part: Path) -> None:
    part.write_bytes(CONTENT[:1000])
    server.script = [wrong_range]
    assert fetched(server.host("tiny", CONTENT), part) == CONTENT
    assert ranges(server) == ["bytes=1000-", None]


@pytest.mark.parametrize("code", [500, 502, 503, 429])
def test_fetch_tries_again_after_a_passing_error(
    server: Server, part: Path, code: int, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "edgeclf")
    server.script = [status(code), status(code)]
    assert fetched(server.host("tiny", CONTENT), part) == CONTENT
    assert len(server.requests) == 3
    assert f"tiny: the server answered {code}" in caplog.text
    assert "trying again in 0.01 s" in caplog.text


def test_fetch_gives_up_after_the_attempts_allowed(server: Server, part: Path) -> None:
    server.normally = status(503)
    model = server.host("tiny", CONTENT)
    with pytest.raises(DownloadError, match="answered 503 Service Unavailable"):
        fetched(model, part)
    assert len(server.requests) == PATIENCE.attempts


@pytest.mark.parametrize("code", [403, 404, 410])
def test_fetch_does_not_repeat_a_final_answer(
    server: Server, part: Path, code: int
) -> None:
    server.script = [status(code)]
    model = server.host("tiny", CONTENT)
    with pytest.raises(DownloadError, match=f"{model.url}: the server answered {code}"):
        fetched(model, part)
    assert len(server.requests) == 1


def test_fetch_goes_on_after_a_cut_connection(server: Server, part: Path) -> None:
    server.script = [cut_after(100_000), cut_after(50_000)]
    assert fetched(server.host("tiny", CONTENT), part) == CONTENT
    assert ranges(server) == [None, "bytes=100000-", "bytes=150000-"]


def test_fetch_goes_on_as_long_as_it_moves(server: Server, part: Path) -> None:
    content = CONTENT * 30  # 9 MB
    server.script = [cut_after(1 << 20)] * 8
    assert fetched(server.host("tiny", content), part) == content
    assert len(server.requests) == 9 > PATIENCE.attempts


def test_fetch_ends_when_every_connection_is_cut(server: Server, part: Path) -> None:
    server.normally = cut_after(100, ranges=False)
    with pytest.raises(DownloadError, match="cut after 100 of 300000 bytes"):
        fetched(server.host("tiny", CONTENT), part)
    assert len(server.requests) == PATIENCE.attempts


def test_fetch_goes_on_after_a_stalled_connection(server: Server, part: Path) -> None:
    server.script = [stall_after(1000)]
    assert fetched(server.host("tiny", CONTENT), part) == CONTENT
    assert ranges(server) == [None, "bytes=1000-"]


def test_fetch_keeps_what_came_for_the_next_run(server: Server, part: Path) -> None:
    server.script = [cut_after(1000), status(404)]
    model = server.host("tiny", CONTENT)
    with pytest.raises(DownloadError, match="404"):
        fetched(model, part)
    assert part.read_bytes() == CONTENT[:1000]


def test_fetch_refuses_wrong_bytes_with_both_sums(server: Server, part: Path) -> None:
    published = hashlib.sha256(b"what was published").hexdigest()
    model = server.host("tiny", CONTENT, sha256=published)
    with pytest.raises(DownloadError) as caught:
        fetched(model, part)
    assert f"Expected SHA-256 {published} for {model.url}." in str(caught.value)
    assert f"Received: {hashlib.sha256(CONTENT).hexdigest()}" in str(caught.value)
    assert "(300000 bytes)" in str(caught.value)
    assert part.read_bytes() == b""
    assert len(server.requests) == 1


def test_fetch_waits_no_longer_than_told_for_a_silent_server(
    server: Server, part: Path
) -> None:
    server.normally = silent
    model = server.host("tiny", CONTENT)
    patience = Patience(answer_s=0.2, read_s=5, attempts=9, calls=2, pause_s=0.01)
    started = time.monotonic()
    with pytest.raises(DownloadError, match=r"no answer within 0\.2 s"):
        fetched(model, part, patience)
    assert time.monotonic() - started < 2
    assert len(server.requests) == patience.calls


def test_fetch_names_a_host_that_refuses(part: Path, server: Server) -> None:
    with socket.create_server(("127.0.0.1", 0)) as unused:
        port = unused.getsockname()[1]
    model = server.host("tiny", CONTENT, url=f"http://127.0.0.1:{port}/tiny.tgz")
    with pytest.raises(DownloadError, match=rf"127\.0\.0\.1:{port}.*refused"):
        fetched(model, part)


def test_fetch_follows_a_redirect(server: Server, part: Path) -> None:
    server.script = [redirect_to("/models/tiny.tgz")]
    model = server.host("tiny", CONTENT, url=server.address + "/elsewhere")
    assert fetched(model, part) == CONTENT


def test_fetch_ends_a_redirect_loop(server: Server, part: Path) -> None:
    server.normally = redirect_to("/models/tiny.tgz")
    with pytest.raises(DownloadError, match="infinite loop") as caught:
        fetched(server.host("tiny", CONTENT), part)
    assert "\n" not in str(caught.value)
    assert len(server.requests) < 20


@pytest.mark.parametrize("url", ["file:///etc/passwd", "ftp://127.0.0.1/a"])
def test_fetch_refuses_a_redirect_to_another_scheme(
    server: Server, part: Path, url: str
) -> None:
    server.script = [redirect_to(url)]
    with pytest.raises(DownloadError, match=r"redirected|not allowed"):
        fetched(server.host("tiny", CONTENT), part)
    assert part.read_bytes() == b""


def test_redirect_from_https_to_http_is_refused() -> None:
    from http.client import HTTPMessage
    from urllib.request import Request

    secure = Request("https://host/a")
    handler = request._Redirects()
    with pytest.raises(DownloadError, match="redirected to http://host/a"):
        handler.redirect_request(
            secure, io.BytesIO(), 302, "Found", HTTPMessage(), "http://host/a"
        )
    followed = handler.redirect_request(
        secure, io.BytesIO(), 302, "Found", HTTPMessage(), "https://other/a"
    )
    assert followed is not None
    assert followed.full_url == "https://other/a"


def test_fetch_refuses_a_file_that_is_announced_too_large(
    server: Server, part: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(download, "MAX_ARCHIVE_BYTES", 1000)
    model = server.host("tiny", CONTENT)
    with pytest.raises(DownloadError, match=r"at most 1000 bytes .* 300000 bytes"):
        fetched(model, part)


def test_fetch_refuses_a_file_that_does_not_end(
    server: Server, part: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(download, "MAX_ARCHIVE_BYTES", 100_000)
    server.script = [unannounced]
    with pytest.raises(DownloadError, match="at most 100000 bytes"):
        fetched(server.host("tiny", CONTENT), part)
    assert len(part.read_bytes()) <= 100_000


def test_fetch_from_a_mirror_keeps_the_path(
    server: Server, part: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = server.host("tiny", CONTENT, url="https://nowhere.invalid/models/tiny.tgz")
    monkeypatch.setenv("EDGECLF_MIRROR", server.address)
    assert fetched(model, part) == CONTENT
    assert server.requests == [("/models/tiny.tgz", None)]


@pytest.mark.parametrize(
    ("mirror", "url"),
    [
        ("", "https://host/a/b.tgz?c=1"),
        ("http://mirror", "http://mirror/a/b.tgz?c=1"),
        ("http://mirror:8080/", "http://mirror:8080/a/b.tgz?c=1"),
        ("https://[::1]/google/ml/", "https://[::1]/google/ml/a/b.tgz?c=1"),
    ],
)
def test_mirrored_replaces_scheme_and_host(
    mirror: str, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EDGECLF_MIRROR", mirror)
    assert mirrored("https://host/a/b.tgz?c=1") == url


@pytest.mark.parametrize(
    "mirror",
    [
        "mirror.example",
        "ftp://a",
        "http://",
        "http://a:b",
        "http://u:secret@a",
        "http://[",
    ],
)
def test_mirrored_refuses_what_is_no_address(
    mirror: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EDGECLF_MIRROR", mirror)
    with pytest.raises(DownloadError, match="Expected EDGECLF_MIRROR") as caught:
        mirrored("https://host/a/b.tgz")
    assert "secret" not in str(caught.value)


MODEL = b"the model"


def read(*members: tuple[tarfile.TarInfo, bytes]) -> bytes:
    return read_tflite(io.BytesIO(archive_of(*members)), LABEL)


@pytest.mark.parametrize(
    "name",
    [
        "./mobilenet.tflite",
        "v3/v3.tflite",
        "/etc/x.tflite",
        "../../x.tflite",
        "x.tflite",
    ],
)
def test_read_tflite_returns_the_model_wherever_it_lies(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    members = [
        member("./", kind=tarfile.DIRTYPE),
        member("./graph.pb", b"graph"),
        member(name, MODEL),
        member("info.txt", b"info"),
    ]
    assert read(*members) == MODEL
    assert list(tmp_path.iterdir()) == []


def test_read_tflite_prefers_the_archives_name_among_several() -> None:
    assert read(member("a.tflite", b"a"), member("x/tiny.tflite", MODEL)) == MODEL


def test_read_tflite_passes_over_hidden_companions() -> None:
    assert (
        read(member("x/._tiny.tflite", b"mac"), member("x/tiny.tflite", MODEL)) == MODEL
    )


def test_read_tflite_refuses_several() -> None:
    with pytest.raises(
        DownloadError, match=r"'a\.tflite', 'b\.tflite' in https://host"
    ):
        read(member("a.tflite", b"a"), member("b.tflite", b"b"))


@pytest.mark.parametrize(
    "kind",
    [
        tarfile.SYMTYPE,
        tarfile.LNKTYPE,
        tarfile.FIFOTYPE,
        tarfile.CHRTYPE,
        tarfile.BLKTYPE,
        tarfile.DIRTYPE,
    ],
)
def test_read_tflite_refuses_everything_but_plain_files(kind: bytes) -> None:
    with pytest.raises(DownloadError, match=f"Received: none in {LABEL}"):
        read(member("tiny.tflite", kind=kind, target="/etc/passwd"))


def test_read_tflite_refuses_an_empty_model() -> None:
    with pytest.raises(DownloadError, match="a model of 0 bytes"):
        read(member("tiny.tflite"))


def test_read_tflite_refuses_a_huge_model_before_reading_it() -> None:
    header = tarfile.TarInfo("tiny.tflite")
    header.size = 1 << 40
    content = gzip.compress(header.tobuf(tarfile.GNU_FORMAT) + bytes(1024))
    with pytest.raises(DownloadError, match="a model of 1099511627776 bytes"):
        read_tflite(io.BytesIO(content), LABEL)


def test_read_tflite_refuses_a_bomb(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive, "MAX_UNPACKED_BYTES", 1 << 20)
    with pytest.raises(DownloadError, match="more than 1048576 bytes unpacked"):
        read(member("zeros.pb", bytes(2 << 20)), member("tiny.tflite", MODEL))


def test_read_tflite_refuses_endless_members(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive, "MAX_MEMBERS", 10)
    with pytest.raises(DownloadError, match="more than 10 members"):
        read(*(member(f"{number}.txt") for number in range(20)))


@pytest.mark.parametrize("kind", [tarfile.XHDTYPE, tarfile.GNUTYPE_LONGNAME])
def test_read_tflite_refuses_a_huge_header(kind: bytes) -> None:
    header = tarfile.TarInfo("tiny.tflite")
    header.type, header.size = kind, 1 << 30
    content = gzip.compress(header.tobuf(tarfile.GNU_FORMAT) + bytes(1024))
    with pytest.raises(DownloadError, match="a header of 1073741824 bytes"):
        read_tflite(io.BytesIO(content), LABEL)


def test_read_tflite_refuses_negative_sizes() -> None:
    header = bytearray(tarfile.TarInfo("tiny.tflite").tobuf(tarfile.GNU_FORMAT))
    header[124:136] = b"\xff" * 4 + struct.pack(">q", -512)
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    content = gzip.compress(bytes(header) + bytes(1024))
    with pytest.raises(DownloadError, match=r"damaged or not safe to read"):
        read_tflite(io.BytesIO(content), LABEL)


def test_read_tflite_does_not_skip_what_is_not_there() -> None:
    header = tarfile.TarInfo("checkpoint")
    header.size = 1 << 80
    content = gzip.compress(header.tobuf(tarfile.GNU_FORMAT) + bytes(1024))
    with pytest.raises(DownloadError, match="a member is cut short"):
        read_tflite(io.BytesIO(content), LABEL)


def test_read_tflite_reads_an_archive_without_an_end_mark() -> None:
    unzipped = gzip.decompress(archive_of(member("other.tflite", MODEL)))[:1024]
    assert read_tflite(io.BytesIO(gzip.compress(unzipped)), LABEL) == MODEL


def test_read_tflite_refuses_a_chain_of_headers_without_end() -> None:
    header = tarfile.TarInfo("x")
    header.type, header.size = tarfile.GNUTYPE_LONGNAME, 1
    block = header.tobuf(tarfile.GNU_FORMAT) + bytes(512)
    with pytest.raises(DownloadError, match="damaged or not safe to read"):
        read_tflite(io.BytesIO(gzip.compress(block * 20_000)), LABEL)


@pytest.mark.parametrize("content", [b"", b"<html>Sign in</html>", gzip.compress(b"x")])
def test_read_tflite_refuses_what_is_no_archive(content: bytes) -> None:
    with pytest.raises(DownloadError, match=LABEL):
        read_tflite(io.BytesIO(content), LABEL)


def test_read_tflite_survives_truncation_and_flipped_bits() -> None:
    chance = random.Random(1)  # noqa: S311 - not a secret
    whole = archive_of(member("a.pb", CONTENT[:500]), member("tiny.tflite", MODEL))
    unzipped = gzip.decompress(whole)
    damaged = [whole[: chance.randrange(len(whole))] for _ in range(100)]
    for _ in range(1500):
        copy = bytearray(unzipped)
        for _ in range(chance.randrange(1, 6)):
            copy[chance.randrange(2600)] = chance.randrange(256)
        damaged.append(gzip.compress(bytes(copy), 1))
    for content in damaged:
        try:
            read_tflite(io.BytesIO(content), LABEL)
        except DownloadError as error:
            assert LABEL in str(error)
