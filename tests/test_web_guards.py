"""What the real server lets pass, and what it says to the rest."""

from __future__ import annotations

import http.client
import io
import json
import socket
import ssl
import subprocess
import time
import urllib.parse

import model_files
import pytest
from PIL import Image
from web_server import refused, serving

from edgeclf.web.headers import CONTENT_SECURITY_POLICY

TOKEN = "a-token-of-enough-length"  # noqa: S105
ALL = "0.0.0.0"  # noqa: S104 - other names are tested for it
HTML = {"Accept": "text/html,application/xhtml+xml"}
BEARER = {"Authorization": f"Bearer {TOKEN}"}
SAME = {"Sec-Fetch-Site": "same-origin"}


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    path = tmp_path_factory.mktemp("model") / "model.tflite"
    path.write_bytes(model_files.own())
    return path


@pytest.fixture(scope="module")
def picture():
    file = io.BytesIO()
    Image.new("RGB", (30, 20), (200, 30, 30)).save(file, "JPEG")
    return file.getvalue()


@pytest.fixture(scope="module")
def server(model):
    """Open to this machine, impatient, for small requests."""
    with serving("--model", model, "--timeout", 3, "--max_mb", 1) as started:
        yield started


@pytest.fixture(scope="module")
def door(model, tmp_path_factory):
    """Asks for a token."""
    file = tmp_path_factory.mktemp("token") / "token.txt"
    file.write_text(TOKEN)
    file.chmod(0o600)
    with serving("--model", model, "--token_file", file) as started:
        yield started


def ask(server, path, method="GET", body=None, **headers):
    """Return `(status, headers, content)`; `Host=` and so on as given."""
    address = urllib.parse.urlsplit(server.url)
    connection = http.client.HTTPConnection(address.hostname, address.port, timeout=10)
    try:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request(method, path, body, named)
        answer = connection.getresponse()
        return answer.status, answer.headers, answer.read()
    finally:
        connection.close()


def raw(server, *parts, pause_s=0.0, timeout_s=10.0):
    """Send bytes as they are; return all that comes until the server hangs up."""
    address = urllib.parse.urlsplit(server.url)
    received = b""
    with socket.create_connection((address.hostname, address.port), timeout_s) as made:
        try:
            for part in parts:
                made.sendall(part)
                time.sleep(pause_s)
        except ConnectionError:
            pass
        try:
            while part := made.recv(65536):
                received += part
        except (TimeoutError, ConnectionError):
            pass
    return received


def problem(content):
    said = json.loads(content)
    assert {"type", "title", "status", "detail"} <= said.keys()
    return said


# Hosts


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "localhost:8000", "[::1]:1", "127.3.2.1", "a.localhost"]
)
def test_names_of_this_machine_pass(server, host):
    assert ask(server, "/healthz", Host=host)[0] == 200


@pytest.mark.parametrize(
    "host",
    [
        *("evil.com", "localhost.evil.com", "127.0.0.1.nip.io", "127.0.0.1@evil.com"),
        *(
            "192.168.1.5",
            "",
            "localhost:8000:1",
            "[::1",
            "a b",
            ALL,
            "xn--\u00e4",
        ),
    ],
)
def test_names_of_others_are_refused_everywhere(server, host):
    for path in ("/", "/v1/model", "/healthz", "/static/style.css"):
        status, headers, content = ask(server, path, Host=host.encode())
        assert status == 421
        assert "--hostname" in problem(content)["detail"]
        assert headers["Content-Security-Policy"] == CONTENT_SECURITY_POLICY


def test_names_that_were_given_and_addresses_pass_a_remote_server(model):
    remote = ("--host", ALL, "--allow_remote", "--no_auth")
    names = (
        socket.gethostname(),
        "192.168.1.5:8000",
        "[2001:db8::1]",
        "Pi.example.org",
    )
    with serving("--model", model, *remote, "--hostname", "pi.example.org") as started:
        started.url = started.url.replace(ALL, "127.0.0.1")
        for host in names:
            assert ask(started, "/healthz", Host=host)[0] == 200
        for host in ("evil.com", "example.org", "x.pi.example.org"):
            assert ask(started, "/healthz", Host=host)[0] == 421


def test_a_server_that_others_reach_does_not_start_by_accident(model):
    done = refused("--model", model, "--host", ALL)
    assert done.returncode == 2
    assert "add --allow_remote" in done.stderr
    assert "Traceback" not in done.stderr


# Origins


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},  # another port of this machine
        {"Origin": "http://evil.com"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:1"},
        {"Origin": "http://localhost"},
        {"Origin": "file://"},
        {"Sec-Fetch-Site": "none", "Origin": "http://evil.com"},
        {"Sec-Fetch-Site": "cross-site", "Origin": "http://127.0.0.1"},
    ],
)
def test_changes_that_other_pages_ask_for_are_refused(server, picture, headers):
    for method in ("POST", "PUT", "PATCH", "DELETE"):
        status, _, content = ask(
            server, "/v1/classify", method, picture, Host="127.0.0.1", **headers
        )
        assert status == 403
        assert "a page of another site" in problem(content)["detail"]


@pytest.mark.parametrize(
    "headers",
    [
        {},  # a program
        {"Sec-Fetch-Site": "same-origin", "Origin": "http://pi.local"},
        {"Sec-Fetch-Site": "none"},
        {"Origin": "http://127.0.0.1"},
        {"Origin": "http://127.0.0.1:80"},
        {"Origin": "https://127.0.0.1"},  # a proxy has the https
    ],
)
def test_own_pages_and_programs_pass(server, picture, headers):
    status, _, content = ask(
        server,
        "/v1/classify",
        "POST",
        picture,
        Host="127.0.0.1",
        Content_Type="image/jpeg",
        **headers,
    )
    assert status == 200, content
    assert json.loads(content)["results"][0]["categories"][0]["label"] == "red"


def test_other_pages_are_not_let_read(server):
    status, headers, _ = ask(server, "/v1/model", Origin="http://evil.com")
    assert status == 200
    assert headers["Cross-Origin-Resource-Policy"] == "same-origin"
    assert "Access-Control-Allow-Origin" not in headers
    asked = {"Origin": "http://evil.com", "Access-Control-Request-Method": "POST"}
    _, headers, _ = ask(server, "/v1/classify", "OPTIONS", **asked)
    assert "Access-Control-Allow-Origin" not in headers


# Headers


@pytest.mark.parametrize(
    ("path", "method", "status"),
    [
        ("/healthz", "GET", 200),
        ("/static/style.css", "GET", 200),
        ("/static/none.css", "GET", 404),
        ("/none", "GET", 404),
        ("/v1/none", "GET", 404),
        ("/v1/classify", "GET", 405),
        ("/v1/classify", "POST", 422),
    ],
)
def test_every_answer_has_the_headers(server, path, method, status):
    received, headers, _ = ask(server, path, method)
    assert received == status
    assert headers["Content-Security-Policy"] == CONTENT_SECURITY_POLICY
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["X-Frame-Options"] == "DENY"
    assert headers["Referrer-Policy"] == "same-origin"
    assert headers["Cross-Origin-Opener-Policy"] == "same-origin"
    assert headers["Permissions-Policy"].startswith("camera=(self), ")
    cached = "no-cache" if path == "/static/style.css" else "no-store"
    assert headers["Cache-Control"] == cached
    assert "Server" not in headers
    assert "Strict-Transport-Security" not in headers


def test_files_of_the_pages_are_sent_once(server):
    _, headers, _ = ask(server, "/static/style.css")
    status, *_ = ask(server, "/static/style.css", If_None_Match=headers["ETag"])
    assert status == 304


def test_no_answer_has_a_header_of_the_request(server):
    for path in ("/%0d%0aX-Bad:1", "/login?next=/%0d%0aX-Bad:1", "/static/%0aX-Bad:1"):
        _, headers, _ = ask(server, path, **HTML)
        assert "X-Bad" not in headers


@pytest.mark.parametrize(
    "path",
    [
        "/static/../guards.py",
        "/static/../../../../../../../../etc/passwd",
        "/static/%2e%2e/guards.py",
        "/static/..%2fguards.py",
        "/static/..%5cguards.py",
        "/static/....//guards.py",
        "/static/%252e%252e/guards.py",
        "/static//etc/passwd",
        "/static/%2fetc/passwd",
        "/static/style.css%00.png",
        "/static/%c0%ae%c0%ae/guards.py",
        "/static/",
        "/static",
    ],
)
def test_no_other_file_is_served(server, path):
    received = raw(
        server,
        f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode(),
    )
    assert received.split(b" ", 2)[1] in (b"404", b"400", b"307")
    assert b"root:" not in received
    assert b"import" not in received


# Limits


def head(*lines, path="/v1/classify", host="localhost"):
    return "\r\n".join(
        [f"POST {path} HTTP/1.1", f"Host: {host}", *lines, "", ""]
    ).encode()


def test_a_body_that_is_announced_as_too_large_is_refused_at_once(server):
    began = time.monotonic()
    received = raw(server, head("Content-Length: 99999999999"), timeout_s=5)
    assert received.startswith(b"HTTP/1.1 413")
    assert b"connection: close" in received
    assert b"Expected 1 MB or fewer" in received
    assert time.monotonic() - began < 4


def test_who_asks_first_is_not_told_to_go_on(server):
    received = raw(server, head("Content-Length: 99999999", "Expect: 100-continue"))
    assert received.startswith(b"HTTP/1.1 413")


@pytest.mark.parametrize(
    "kind", ["image/jpeg", "application/json", "multipart/form-data; boundary=x"]
)
def test_a_body_that_grows_too_large_is_refused(server, kind):
    part = b"%x\r\n%s\r\n" % (100_000, b"-" * 100_000)
    start = head("Transfer-Encoding: chunked", f"Content-Type: {kind}")
    if kind.startswith("multipart"):
        field = b'--x\r\nContent-Disposition: form-data; name="image"\r\n\r\n'
        start += b"%x\r\n%s\r\n" % (len(field), field)
    received = raw(server, start, *[part] * 15)
    assert received.startswith(b"HTTP/1.1 413"), received[:300]
    assert b"Expected 1 MB or fewer" in received


def test_the_answer_arrives_though_the_body_does_too(server):
    # The client sends all that it announced before it listens, as some do.
    for _ in range(5):
        status, _, content = ask(server, "/v1/classify", "POST", bytes(8 * 10**6))
        assert status == 413
        assert problem(content)["title"] == "Request too large"


def test_a_slow_body_is_not_waited_for(server):
    began = time.monotonic()
    start = head("Content-Length: 100", "Content-Type: image/jpeg")
    received = raw(server, start, *[b"x"] * 9, pause_s=0.4)
    assert received.startswith(b"HTTP/1.1 408")
    assert b"within 3 s" in received
    assert 3 < time.monotonic() - began < 9


@pytest.mark.parametrize(
    "lines",
    [
        ("Content-Length: 5", "Content-Length: 6"),
        ("Content-Length: 5", "Transfer-Encoding: gzip, chunked"),
        ("Content-Length: -5",),
        ("Content-Length: +5",),
        ("Content-Length: 0x5",),
        ("Bad Name: 1",),
        ("Host: localhost",),
        (" folded",),
        ("X: \x00",),
        ("X: " + "x" * 600_000,),
    ],
)
def test_a_request_that_can_be_read_in_two_ways_is_refused(server, lines):
    received = raw(server, head(*lines) + b"12345", timeout_s=1)
    assert received.split(b" ")[1] in (b"400", b"421", b"501"), received[:200]


def test_a_long_head_is_refused_though_it_comes_in_one_piece(server):
    status, _, content = ask(server, "/healthz", X="x" * 20_000)
    assert (status, problem(content)["title"]) == (431, "Headers too long")
    status, _, content = ask(server, "/healthz?" + "x" * 5000)
    assert (status, problem(content)["title"]) == (414, "Address too long")


def test_a_content_type_that_is_slow_to_read_holds_nobody_up(server):
    began = time.monotonic()
    kind = 'image/jpeg; x="' + ";" * 15_000
    assert ask(server, "/v1/classify", "POST", b"x", Content_Type=kind)[0] == 422
    assert time.monotonic() - began < 2


def test_little_json_does_not_take_much_memory(server):
    began = time.monotonic()
    body = b'{"images":[' + b"1," * 400_000 + b"1]}"
    status, _, content = ask(
        server, "/v1/classify", "POST", body, Content_Type="application/json"
    )
    assert status == 422
    assert "at most 64 pictures" in problem(content)["detail"]
    assert time.monotonic() - began < 3


def test_a_part_with_a_long_header_is_refused(server):
    start = b'--x\r\nContent-Disposition: form-data; name="image"; x="'
    body = start + b";" * 500_000 + b"\r\n\r\nabc\r\n--x--\r\n"
    kind = "multipart/form-data; boundary=x"
    began = time.monotonic()
    assert ask(server, "/v1/classify", "POST", body, Content_Type=kind)[0] == 400
    assert time.monotonic() - began < 3
    several = b'--x\r\nContent-Disposition: form-data; name="image"\r\n'
    several += (
        b"X: " + b"x" * 3000 + b"\r\nY: " + b"y" * 3000 + b"\r\n\r\nabc\r\n--x--\r\n"
    )
    assert ask(server, "/v1/classify", "POST", several, Content_Type=kind)[0] == 400


def test_length_and_chunks_together_are_one_request(server):
    # A proxy that goes by the length has seen one request. Source: RFC 9112, 6.3.
    smuggled = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"
    start = head(f"Content-Length: {5 + len(smuggled)}", "Transfer-Encoding: chunked")
    received = raw(server, start + b"0\r\n\r\n" + smuggled, timeout_s=2)
    assert received.startswith(b"HTTP/1.1 400")
    assert received.count(b"HTTP/1.1 ") == 1


def test_the_server_is_well_after_all_that(server, picture):
    status, *_ = ask(
        server, "/v1/classify", "POST", picture, Content_Type="image/jpeg", **SAME
    )
    assert status == 200
    assert "Traceback" not in server.log()


# The door


def test_strangers_get_what_everybody_may_have(door):
    for path in ("/healthz", "/static/style.css", "/login"):
        assert ask(door, path)[0] == 200


@pytest.mark.parametrize(
    "path",
    [
        *("/", "/model", "/live", "/about", "/teach", "/chat", "/metrics", "/none"),
        *(
            "/v1/model",
            "/openapi.json",
            "/static",
            "/healthz/",
            "/login/",
            "//static/x",
        ),
        *("/STATIC/style.css", "/%2e/static/style.css", "/logout"),
    ],
)
def test_strangers_get_nothing_else(door, path):
    status, headers, content = ask(door, path)
    assert status == 401
    assert headers["WWW-Authenticate"].startswith("Bearer")
    assert "Received: none" in problem(content)["detail"]


def test_people_are_sent_to_the_page(door):
    status, headers, _ = ask(door, "/teach/caf%C3%A9?x=1&y=2", **HTML)
    assert status == 303
    assert headers["Location"] == "/login?next=%2Fteach%2Fcaf%25C3%25A9%3Fx%3D1%26y%3D2"
    _, headers, _ = ask(door, "//evil.com", **HTML)
    assert headers["Location"] == "/login"


def test_programs_give_the_token(door, picture):
    assert ask(door, "/v1/model", **BEARER)[0] == 200
    assert ask(door, "/v1/model", Authorization=f"bearer  {TOKEN} ")[0] == 200
    assert ask(door, "/metrics", **BEARER)[0] == 200
    status, *_ = ask(
        door, "/v1/classify", "POST", picture, Content_Type="image/jpeg", **BEARER
    )
    assert status == 200


def test_nobody_is_led_to_the_name_that_a_request_says(door):
    status, headers, _ = ask(door, "/v1/model/", Host="evil.com", **BEARER)
    assert status == 404
    assert "Location" not in headers


def test_a_wish_for_a_websocket_is_not_logged(server):
    start = head("Connection: Upgrade, close", "Upgrade: websocket", path="/healthz")
    assert raw(server, start.replace(b"POST", b"GET")).startswith(b"HTTP/1.1 200")
    time.sleep(0.1)
    assert "WebSocket" not in server.log()
    assert "upgrade" not in server.log()


def test_every_name_will_do_with_a_token(door):
    assert ask(door, "/v1/model", Host="pi.example.org", **BEARER)[0] == 200
    assert ask(door, "/v1/model", Host="pi.example.org")[0] == 401


def login(server, token=TOKEN, target="/", **headers):
    body = urllib.parse.urlencode({"token": token, "next": target})
    kind = {"Content-Type": "application/x-www-form-urlencoded"}
    return ask(server, "/login", "POST", body, **kind, **headers)


def test_people_log_in_and_out(door):
    status, headers, _ = login(door, target="/model?x=1")
    assert (status, headers["Location"]) == (303, "/model?x=1")
    cookie, *attributes = headers["Set-Cookie"].split("; ")
    assert {"HttpOnly", "SameSite=strict", "Path=/"} <= set(attributes)
    assert "Secure" not in attributes
    assert TOKEN not in cookie
    assert ask(door, "/v1/model", Cookie=cookie)[0] == 200
    status, headers, _ = ask(door, "/login?next=/model", Cookie=cookie)
    assert (status, headers["Location"]) == (303, "/model")
    # A cookie comes from a browser, and browsers say who asks.
    assert ask(door, "/v1/classify", "POST", Cookie=cookie)[0] == 403
    assert ask(door, "/v1/classify", "POST", Cookie=cookie, **SAME)[0] == 422
    assert ask(door, "/logout", Cookie=cookie, **HTML)[0] in (404, 405)
    status, headers, _ = ask(door, "/logout", "POST", Cookie=cookie, **SAME)
    assert (status, headers["Location"]) == (303, "/login")
    assert "Max-Age=0" in headers["Set-Cookie"]


def test_behind_https_the_cookie_is_for_that_alone(door):
    origin = {"Host": "pi.example.org", "Origin": "https://pi.example.org"}
    _, headers, _ = login(door, **origin)
    cookie, *attributes = headers["Set-Cookie"].split("; ")
    assert cookie.startswith("__Host-")
    assert "Secure" in attributes
    assert ask(door, "/v1/model", Cookie=cookie)[0] == 200


@pytest.mark.parametrize("target", ["//evil.com", "https://evil.com", "/\\evil.com"])
def test_nobody_is_sent_elsewhere(door, target):
    _, headers, _ = login(door, target=target)
    assert headers["Location"] == "/"
    _, _, content = ask(door, f"/login?next={urllib.parse.quote(target)}")
    assert b"evil" not in content


def test_other_pages_cannot_log_anybody_in(door):
    assert login(door, Origin="http://evil.com")[0] == 403
    assert login(door, Origin="null")[0] == 403


def test_the_page_says_nothing_of_the_model(door):
    _, _, content = ask(door, "/login?next=%22%3E%3Cscript%3E", **HTML)
    assert b"model.tflite" not in content
    assert b"<script>" not in content


def test_a_form_that_is_too_large_is_refused(door):
    assert login(door, "x" * 10_000)[0] == 413
    body = "&".join(f"token{n}=1" for n in range(100))
    assert ask(door, "/login", "POST", body)[0] == 400
    assert ask(door, "/login", "DELETE")[0] == 405


def test_guessing_is_slowed_down(model):
    env = {"EDGECLF_TOKEN": TOKEN}
    with serving("--model", model, env=env) as started:
        cookie = login(started)[1]["Set-Cookie"].partition(";")[0]
        wrong = "x" * len(TOKEN)
        for _ in range(5):
            assert ask(started, "/v1/model", Authorization=f"Bearer {wrong}")[0] == 401
            status, _, content = login(started, wrong)
            assert status == 403
            assert b"This is not the token" in content
        status, headers, content = ask(started, "/v1/model", **BEARER)
        assert status == 429
        assert 0 < int(headers["Retry-After"]) <= 60
        assert login(started)[0] == 429
        # Who is logged in is not kept out.
        assert ask(started, "/v1/model", Cookie=cookie)[0] == 200
        assert TOKEN not in started.log()


# Connections


def test_https_has_what_is_for_https_alone(model, tmp_path):
    certificate = tmp_path / "both.pem"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes"]
    command += ["-keyout", certificate, "-out", tmp_path / "c", "-days", "1"]
    command += ["-subj", "/CN=localhost"]
    try:
        subprocess.run(command, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("no openssl that makes a certificate")
    certificate.write_bytes(certificate.read_bytes() + (tmp_path / "c").read_bytes())
    with serving(
        "--model", model, "--certificate", certificate, "--key", certificate
    ) as started:
        address = urllib.parse.urlsplit(started.url)
        context = ssl.create_default_context(cafile=certificate)
        context.check_hostname = False
        made = http.client.HTTPSConnection(
            address.hostname, address.port, context=context
        )
        made.request("GET", "/healthz")
        answer = made.getresponse()
        assert answer.status == 200
        assert answer.headers["Strict-Transport-Security"].startswith("max-age=")
        made.close()
