"""`make audit` tells known vulnerabilities, none, and nobody to ask apart."""

from __future__ import annotations

import http.server
import importlib.util
import json
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from scripts import audit_packages as audits

ROOT = Path(__file__).resolve().parents[1]
if not (ROOT / "scripts" / "audit_packages.py").is_file():
    pytest.skip("no checkout around these tests", allow_module_level=True)

needs_pip_audit = pytest.mark.skipif(
    importlib.util.find_spec("pip_audit") is None,
    reason="pip-audit is not installed: make test-release",
)
FINDING = {
    "id": "PYSEC-2023-1",
    "summary": "A picture that takes all memory",
    "affected": [
        {
            "package": {"name": "pillow", "ecosystem": "PyPI"},
            "ranges": [
                {
                    "type": "ECOSYSTEM",
                    "events": [{"introduced": "0"}, {"fixed": "10.0.1"}],
                }
            ],
        }
    ],
}


@pytest.fixture
def service() -> Iterator[str]:
    """A service that knows a vulnerability of pillow 9.1.0, and of nothing else."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            old = asked["package"]["name"], asked["version"]
            vulns = [FINDING] if old == ("pillow", "9.1.0") else []
            answer = json.dumps({"vulns": vulns} if vulns else {}).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}/v1/query"
        server.shutdown()
        thread.join()


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch):
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.delenv(name, raising=False)


def asking(url: str) -> list[str]:
    return ["--vulnerability-service", "osv", "--osv-url", url]


@needs_pip_audit
def test_a_known_vulnerability_is_named(service, capfd):
    pins = [("numpy", "2.0.0"), ("pillow", "9.1.0")]
    assert audits.audit(pins, asking(service)) == audits.VULNERABLE
    assert "pillow 9.1.0: PYSEC-2023-1, mended in 10.0.1" in capfd.readouterr().out


@needs_pip_audit
def test_the_locks_are_clean_where_nothing_is_known(service, capfd):
    assert audits.main(asking(service)) == audits.CLEAN
    assert "versions checked: no vulnerability is known" in capfd.readouterr().out


@needs_pip_audit
def test_nobody_to_ask_is_not_a_pass(capfd):
    assert audits.main(asking("http://127.0.0.1:9/v1/query")) == audits.NOT_CHECKED
    said = capfd.readouterr()
    assert "not checked: Expected an answer on every package." in said.err
    assert said.out == ""


@needs_pip_audit
def test_an_audit_that_only_dry_runs_is_not_a_pass(service, capfd):
    options = [*asking(service), "--dry-run"]
    assert audits.audit([("numpy", "2.0.0")], options) == audits.NOT_CHECKED


@needs_pip_audit
def test_an_end_without_an_answer_is_not_a_pass(capfd):
    assert audits.audit([("numpy", "2.0.0")], ["--version"]) == audits.NOT_CHECKED
    assert "pip-audit" in capfd.readouterr().err


def test_every_locked_version_is_asked_for_once():
    paths = sorted((ROOT / "locks").glob("*.txt"))
    pins = audits.pinned(paths)
    parts = audits.rounds(pins)
    assert sorted(pin for part in parts for pin in part) == pins
    for part in parts:
        names = [name for name, _ in part]
        assert len(names) == len(set(names))
    lines = {
        line.partition(" ")[0]
        for path in paths
        for line in path.read_text().splitlines()
        if line[:1].isalnum()
    }
    assert {f"{name}=={version}" for name, version in pins} == lines
