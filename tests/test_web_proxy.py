"""The web app behind nginx, as docs/web.md says to set it up."""

from __future__ import annotations

import os
import re
import shutil
import socket
import ssl
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import model_files as models
import pytest
from bot_process import jpeg
from web_server import ROOT, START_S, serving

NAME = "pictures.example.org"
WEB_MD = ROOT / "docs" / "web.md"
TOKEN = "a-token-of-enough-length"  # noqa: S105

pytestmark = pytest.mark.skipif(
    not (shutil.which("nginx") and shutil.which("openssl") and WEB_MD.is_file()),
    reason="needs nginx, openssl and a checkout",
)


def configuration(folder: Path, port: int, server_port: str) -> str:
    """The documented block, with ports and files of this test."""
    text = WEB_MD.read_text("utf-8")
    (block,) = re.findall(r"^server \{\n(?:.*\n)*?\}\n", text, re.MULTILINE)
    for documented, own in (
        ("listen 443", f"listen 127.0.0.1:{port}"),
        ("/etc/ssl/pictures.pem", str(folder / "pictures.pem")),
        ("/etc/ssl/pictures.key", str(folder / "pictures.key")),
        ("127.0.0.1:8000", f"127.0.0.1:{server_port}"),
    ):
        assert documented in block
        block = block.replace(documented, own)
    kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    paths = "".join(f"{kind}_temp_path {folder / kind};\n" for kind in kinds)
    user = "user root; " if os.geteuid() == 0 else ""  # pytest's folders are closed
    return (
        f"{user}daemon off; pid {folder / 'pid'}; error_log {folder / 'errors'};\n"
        f"events {{}}\nhttp {{ access_log off;\n{paths}{block}}}\n"
    )


@contextmanager
def proxy(folder: Path, server_port: str) -> Iterator[int]:
    """Run nginx before a server; yields its port."""
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes"]
    command += ["-subj", f"/CN={NAME}", "-keyout", str(folder / "pictures.key")]
    command += ["-out", str(folder / "pictures.pem")]
    subprocess.run(command, check=True, capture_output=True)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
    file = folder / "nginx.conf"
    file.write_text(configuration(folder, port, server_port))
    nginx = subprocess.Popen(
        ["nginx", "-e", str(folder / "errors"), "-c", str(file)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        until = time.monotonic() + START_S
        while nginx.poll() is None and time.monotonic() < until:
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                break
            except OSError:
                time.sleep(0.05)
        assert nginx.poll() is None, (folder / "errors").read_text()
        yield port
    finally:
        nginx.terminate()
        nginx.wait(START_S)


def test_a_page_behind_nginx_on_another_port_may_send_pictures(tmp_path):
    model = tmp_path / "model.tflite"
    model.write_bytes(models.own())
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    variables = {"EDGECLF_TOKEN": TOKEN}
    with (
        serving("--model", model, "--hostname", NAME, env=variables) as server,
        proxy(tmp_path, server.url.rpartition(":")[2]) as port,
    ):

        def status(origin: str) -> int:
            headers = {
                "Host": f"{NAME}:{port}",
                "Origin": origin,
                "Content-Type": "image/jpeg",
                "Authorization": f"Bearer {TOKEN}",
            }
            url = f"https://127.0.0.1:{port}/v1/classify"
            request = urllib.request.Request(url, jpeg("blue"), headers)
            try:
                with urllib.request.urlopen(request, context=context) as response:
                    return response.status
            except urllib.error.HTTPError as error:
                with error:
                    return error.code

        assert status(f"https://{NAME}:{port}") == 200
        assert status(f"https://{NAME}") == 403  # another port is another site
        assert status("https://other.example.org") == 403
