"""`edgeclf serve` from its command line: what it says, how it ends, what it refuses."""

from __future__ import annotations

import io
import json
import os
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit

import model_files as models
import numpy as np
import pytest
from PIL import Image
from web_server import ROOT, environment, refused, serving

from edgeclf.errors import EdgeclfError
from edgeclf.web.server import listen

END_S = 8  # at most, with requests that do not end by themselves
BOUNDARY = "--------f00d"


def png(color: str = "red") -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (20, 10), models.PIXELS[color]).save(file, "PNG")
    return file.getvalue()


def slow_jpeg() -> bytes:
    """A picture that takes some hundredths of a second."""
    pixels = np.random.default_rng(0).integers(0, 256, (1500, 2000, 3), np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=50)
    return file.getvalue()


def form(pictures: list[bytes]) -> bytes:
    parts = [
        f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="image"; '
        f'filename="{number}.jpg"\r\n\r\n'.encode()
        + picture
        + b"\r\n"
        for number, picture in enumerate(pictures)
    ]
    return b"".join([*parts, f"--{BOUNDARY}--\r\n".encode()])


def post(url: str, body: bytes, kind: str = "image/png") -> dict[str, object]:
    request = urllib.request.Request(url, body, {"Content-Type": kind})
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.load(answer)


def connected(url: str) -> socket.socket:
    parts = urlsplit(url)
    return socket.create_connection((parts.hostname, parts.port), 10)


def test_serve_says_its_address_and_answers(model_file: Callable[..., Path]):
    with serving("--model", model_file()) as server:
        assert server.log().count("Serving model.tflite on http://127.0.0.1:") == 1
        answer = post(f"{server.url}/v1/classify", png("green"))
        (result,) = answer["results"]
        assert result["categories"][0]["label"] == "green"
        assert "uvicorn" not in server.log().lower()


@pytest.mark.parametrize(
    ("by", "status", "last"),
    [(signal.SIGTERM, 0, "Serving"), (signal.SIGINT, 130, "Stopped.")],
)
def test_serve_ends_with_the_signals_status(
    model_file: Callable[..., Path], by: signal.Signals, status: int, last: str
):
    with serving("--model", model_file()) as server, connected(server.url):
        post(f"{server.url}/v1/classify", png())
        began = time.monotonic()
        assert server.end(by) == status
        assert time.monotonic() - began < END_S
        assert server.log().splitlines()[-1].startswith(last)
        assert "Traceback" not in server.log()


def test_serve_ends_beside_clients_that_do_not(model_file: Callable[..., Path]):
    with serving("--model", model_file()) as server:
        with connected(server.url) as slow, connected(server.url) as idle:
            slow.sendall(
                b"POST /v1/classify HTTP/1.1\r\nHost: 127.0.0.1\r\n"
                b"Content-Type: image/png\r\nContent-Length: 1000\r\n\r\nabc"
            )
            idle.sendall(b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
            assert idle.recv(100).startswith(b"HTTP/1.1 200")
            began = time.monotonic()
            assert server.end(signal.SIGTERM) == 0
            assert time.monotonic() - began < END_S
        assert "Traceback" not in server.log()


def test_second_interrupt_does_not_wait(model_file: Callable[..., Path]):
    with serving("--model", model_file()) as server, connected(server.url) as slow:
        slow.sendall(
            b"POST /v1/classify HTTP/1.1\r\nHost: 127.0.0.1\r\n"
            b"Content-Type: image/png\r\nContent-Length: 1000\r\n\r\nabc"
        )
        time.sleep(0.2)
        server.process.send_signal(signal.SIGINT)
        time.sleep(0.3)
        began = time.monotonic()
        assert server.end(signal.SIGINT) == 130
        assert time.monotonic() - began < 2
        assert "Traceback" not in server.log()


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ([], "Expected --model FILE.tflite, or --teach DIR"),
        (["--labels", "l.txt", "--teach", "t"], "Expected --labels only with --model"),
        (["--model", "m", "--port", "65536"], "expected 0 to 65535, received 65536"),
        (["--model", "m", "--port", "-1"], "argument --port"),
        (["--model", "m", "--workers", "0"], "whole number of 1 or more"),
        (["--model", "m", "--workers", "65"], "expected 64 at most, received 65"),
        (["--model", "m", "--queue", "0"], "whole number of 1 or more"),
        (["--model", "m", "--max_mb", "none"], "whole number of 1 or more"),
        (["--model", "m", "--max_images", "0"], "whole number of 1 or more"),
        (["--model", "m", "--timeout", "0"], "expected more than 0 seconds"),
        (["--model", "m", "--timeout", "nan"], "expected seconds, received nan"),
        (["--model", "m", "--architecture", "x"], "--architecture only with --teach"),
        (["--teach", "t", "--architecture", "x"], "mobilenet_v3_small"),
        (["--model", "m", "--chat_model", "x"], "--chat_model only with --chat_url"),
        (["--model", "m", "--chat_url", "ftp://x"], "Received: ftp://x"),
        (["--model", "m", "--chat_url", "http://x:a"], "Received: http://x:a"),
        (["--model", "m", "--key", "k.pem"], "--certificate and --key together"),
        (["--model", "m", "--delegate_options", "a=b"], "only with --delegate"),
        (["--model", "m", "--host", "0.0.0.0"], "--allow_remote"),  # noqa: S104 - is refused
        (["--model", "m", "--no_such"], "--no_such"),
    ],
)
def test_serve_refuses_wrong_usage(arguments: list[str], sentence: str):
    # In one process: Python starts nineteen times otherwise.
    done = _run_main(arguments)
    assert done.returncode == 2, done.stderr
    assert sentence in done.stderr
    assert "Traceback" not in done.stderr


def _run_main(arguments: list[str]) -> subprocess.CompletedProcess[str]:
    from contextlib import redirect_stderr

    from edgeclf.web.command import main

    said = io.StringIO()
    with redirect_stderr(said):
        try:
            status = main(arguments)
        except SystemExit as error:
            status = int(error.code or 0)
    return subprocess.CompletedProcess(arguments, status, "", said.getvalue())


def test_serve_refuses_more_labels_than_the_model_has(
    model_file: Callable[..., Path],
):
    done = refused("--model", model_file(), "--top_k", 4)
    assert done.returncode == 2
    assert "Expected --top_k of at most 3" in done.stderr


def test_serve_says_what_is_wrong_with_files(
    model_file: Callable[..., Path], tmp_path: Path
):
    damaged = tmp_path / "damaged.tflite"
    damaged.write_bytes(b"no model")
    (tmp_path / "labels.txt").write_text("one\ntwo\n")
    (tmp_path / "bad.pem").write_text("no certificate")
    model, pem = model_file(), tmp_path / "bad.pem"
    for arguments, sentence in {
        ("--model", tmp_path / "none.tflite"): "none.tflite: No such file",
        ("--model", damaged): "damaged.tflite: ",
        ("--model", model, "--labels", tmp_path / "labels.txt"): "labels.txt",
        ("--model", model, "--teach", pem): "bad.pem, which is a file",
        ("--teach", "t", "--architecture", "./no.tflite"): "no.tflite, which does not",
        ("--teach", "t", "--architecture", tmp_path): "edgeclf convert",
        ("--teach", "t", "--architecture", damaged): "damaged.tflite: ",
        ("--model", model, "--certificate", pem, "--key", pem): (
            f"belong together. Received: {pem} and {pem}, which do not.\n"
        ),
        ("--model", model, "--certificate", pem, "--key", "n.pem"): "n.pem: No such",
    }.items():
        done = refused(*arguments)
        assert done.returncode == 1, done.stderr
        assert sentence in done.stderr
        assert "Serving" not in done.stderr
        assert "Traceback" not in done.stderr


def test_serve_does_not_teach_without_what_trains(tmp_path: Path):
    program = (
        "import sys, edgeclf.training_extra as extra;"
        "extra.PACKAGES = ('no_such_package',);"
        "from edgeclf.web.command import main;"
        f"sys.exit(main(['--teach', {str(tmp_path / 'new')!r}, '--port', '0']))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        env=environment(),
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == 1
    assert 'no_such_package. Install it with: pip install "edgeclf[' in done.stderr
    assert not (tmp_path / "new").exists()


def test_serve_says_that_the_port_is_taken(model_file: Callable[..., Path]):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = refused("--model", model_file(), "--port", port)
    assert done.returncode == 1
    assert f"Expected a free port. Received: --port {port}" in done.stderr


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is missing")
def test_serve_says_that_a_key_has_a_password(
    model_file: Callable[..., Path], tmp_path: Path
):
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-days", "1"),
            *("-subj", "/CN=localhost", "-passout", "pass:secret"),
            *("-keyout", key, "-out", certificate),
        ],
        check=True,
        capture_output=True,
    )
    done = refused("--model", model_file(), "--certificate", certificate, "--key", key)
    assert done.returncode == 1
    assert f"without a password. Received: --key {key}, which has one" in done.stderr
    assert "Serving" not in done.stderr


def test_serve_says_that_a_link_local_address_needs_its_interface():
    with pytest.raises(EdgeclfError, match=r"fe80::1%eth0. Received: --host fe80::2"):
        listen("fe80::2", 0)


def test_serve_says_that_there_is_no_such_host(model_file: Callable[..., Path]):
    options = ("--allow_remote", "--no_auth", "--host")
    for host in ("no-such-host.invalid", "192.0.2.1"):  # RFC 6761, RFC 5737
        done = refused("--model", model_file(), *options, host)
        assert done.returncode == 1
        assert f"Received: --host {host}" in done.stderr
        assert "Traceback" not in done.stderr


def test_serve_listens_on_ipv6(model_file: Callable[..., Path]):
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        pytest.skip("this machine has no IPv6")
    for host in ("::1", "[::1]"):
        with serving("--model", model_file(), "--host", host) as server:
            assert server.url.startswith("http://[::1]:")
            assert post(f"{server.url}/v1/classify", png())["results"]


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is missing")
def test_serve_speaks_https(model_file: Callable[..., Path], tmp_path: Path):
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "ec", "-nodes", "-days", "1"),
            *("-pkeyopt", "ec_paramgen_curve:prime256v1", "-subj", "/CN=localhost"),
            *("-addext", "subjectAltName=IP:127.0.0.1"),
            *("-keyout", key, "-out", certificate),
        ],
        check=True,
        capture_output=True,
    )
    options = ("--certificate", certificate, "--key", key)
    with serving("--model", model_file(), *options) as server:
        assert server.url.startswith("https://")
        context = ssl.create_default_context(cafile=certificate)
        with urllib.request.urlopen(f"{server.url}/healthz", context=context) as answer:
            assert answer.status == 200


def test_what_is_no_http_leaves_no_line(model_file: Callable[..., Path]):
    with serving("--model", model_file()) as server:
        with connected(server.url) as client:
            client.sendall(b"nonsense\r\n\r\n")
            assert client.recv(100).startswith(b"HTTP/1.1 400")
        server.end()
        assert "Invalid" not in server.log()


def test_verbose_log_has_requests_but_no_queries(model_file: Callable[..., Path]):
    with serving("--model", model_file(), "-v") as server:
        urllib.request.urlopen(f"{server.url}/healthz?token=secret").close()
        with pytest.raises(urllib.error.HTTPError):
            urllib.request.urlopen(f"{server.url}/none?token=secret")
        server.end()
        lines = [line.partition(" ")[2] for line in server.log().splitlines()]
        assert "GET /healthz 200" in lines
        assert "GET /none 404" in lines
        assert "secret" not in server.log()


def test_full_queue_tells_when_to_come_again(model_file: Callable[..., Path]):
    body = form([slow_jpeg()] * 4)
    kind = f"multipart/form-data; boundary={BOUNDARY}"

    def ask(_: int) -> tuple[int, str | None]:
        try:
            post(f"{server.url}/v1/classify", body, kind)
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.headers["Retry-After"]
        return 200, None

    options = ("--workers", 1, "--queue", 5)
    with (
        serving("--model", model_file(), *options) as server,
        ThreadPoolExecutor(6) as threads,
    ):
        answers = list(threads.map(ask, range(6)))
        assert {status for status, _ in answers} == {200, 503}
        assert all(int(after) >= 1 for status, after in answers if status == 503)
        assert ask(0)[0] == 200  # it is over


def test_a_request_of_most_images_is_taken_by_a_small_queue(
    model_file: Callable[..., Path],
):
    body = form([png()] * 16)
    options = ("--workers", 1, "--queue", 2, "--max_images", 16)
    with serving("--model", model_file(), *options) as server:
        answer = post(
            f"{server.url}/v1/classify",
            body,
            f"multipart/form-data; boundary={BOUNDARY}",
        )
        assert len(answer["results"]) == 16


def test_pictures_of_a_client_that_is_gone_are_dropped(
    model_file: Callable[..., Path],
):
    def counted() -> float:
        with urllib.request.urlopen(f"{server.url}/metrics") as answer:
            lines = answer.read().decode().splitlines()
        return sum(
            float(line.split()[-1])
            for line in lines
            if line.startswith("edgeclf_pictures_total")
        )

    body = form([slow_jpeg()] * 30)
    with serving("--model", model_file(), "--workers", 1) as server:
        with connected(server.url) as client:
            client.sendall(
                b"POST /v1/classify HTTP/1.1\r\nHost: 127.0.0.1\r\n"
                + f"Content-Type: multipart/form-data; boundary={BOUNDARY}\r\n"
                f"Content-Length: {len(body)}\r\n\r\n".encode()
                + body
            )
            ends = time.monotonic() + 20
            while not counted():
                assert time.monotonic() < ends
                time.sleep(0.01)
        # The queue is free again at once, and most were never begun.
        assert post(f"{server.url}/v1/classify", png())["results"]
        time.sleep(0.3)
        assert 1 <= counted() < 25  # of 31
        assert "Traceback" not in server.log()


def test_a_model_that_is_replaced_on_disk_stays_what_it_was(
    model_file: Callable[..., Path], tmp_path: Path
):
    path = model_file()
    with serving("--model", path) as server:
        before = post(f"{server.url}/v1/classify", png())
        (tmp_path / "new").write_bytes(b"another model")
        os.replace(tmp_path / "new", path)
        assert post(f"{server.url}/v1/classify", png()) == before
        assert len(post(f"{server.url}/v1/embed", png())["results"]) == 1


def test_starting_imports_nothing_that_only_some_need():
    program = (
        "import sys, edgeclf.web.command, edgeclf.web.app, edgeclf.web.server;"
        "print(*sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        env=environment(),
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    loaded = set(done.stdout.split())
    heavy = {"scipy", "tqdm", "httpx", "requests", "tensorflow", "ai_edge_quantizer"}
    heavy |= {"edgeclf.training", "edgeclf.drawing", "edgeclf.web.teach.workshop"}
    heavy |= {"edgeclf.bot", "websockets", "httptools", "uvloop"}
    assert loaded & heavy == set()
