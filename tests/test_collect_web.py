"""Servers are asked patiently, and few at a time."""

from __future__ import annotations

import email.utils
import json
import threading
import time
from collections.abc import Iterator

import hosting
import misbehaving
import pytest
from misbehaving import Paths

from edgeclf.collecting.web import OUT_OF_REACH, Manners, Web
from edgeclf.errors import DownloadError
from edgeclf.inputs.connection import FetchError
from edgeclf.inputs.fetch import Limits

QUICK = Manners(attempts=3, backoff_s=0.01, longest_wait_s=2)
BRIEF = Limits(total_s=0.3, connect_s=0.3, size_bytes=100_000)


@pytest.fixture
def paths() -> Iterator[Paths]:
    with misbehaving.paths() as running:
        yield running


def web(manners: Manners = QUICK, limits: Limits = BRIEF, **options: object) -> Web:
    return Web(allow_private=True, manners=manners, limits=limits, **options)


def refused(paths: Paths, *behaviours: hosting.Behaviour) -> FetchError:
    paths["/a"] = list(behaviours)
    with pytest.raises(DownloadError) as caught:
        web().get_picture(paths.address("/a"))
    assert isinstance(caught.value, FetchError)
    return caught.value


@pytest.mark.parametrize(
    ("behaviour", "kind", "asked", "passing"),
    [
        (hosting.status(404), "404", 1, False),
        (hosting.status(403), "403", 1, False),
        (hosting.status(500), "500", 3, True),
        (hosting.status(429), "429", 3, True),
        (hosting.cut_after(10), "connection cut", 3, True),
        (hosting.reset, "connection cut", 3, True),
        (hosting.silent, "timeout", 3, True),
        (hosting.slowly(0.05, 10), "timeout", 3, True),
        (hosting.endless, "too large", 1, False),
        (hosting.raw(b"hello\r\n\r\n"), "not http", 3, True),
        (hosting.saying(200), "empty", 1, False),
        (hosting.redirect_to("/a"), "redirects", 6, False),
        (hosting.redirect_to("file:///etc/passwd"), "redirects", 1, False),
        (
            hosting.saying(200, b"<html>", Content_Type="text/html"),
            "not a picture",
            1,
            False,
        ),
    ],
)
def test_failures_have_a_kind_and_what_may_pass_is_tried_again(
    paths: Paths, behaviour: hosting.Behaviour, kind: str, asked: int, passing: bool
) -> None:
    paths["/a"] = bytes(10_000)
    error = refused(paths, behaviour)
    assert (error.kind, error.passing) == (kind, passing)
    assert paths.asked == {"/a": asked}


def test_private_addresses_are_refused_unless_allowed(paths: Paths) -> None:
    careful = Web(allow_private=False, manners=QUICK)
    with pytest.raises(FetchError, match="--allow_private") as caught:
        careful.get_picture(paths.address("/a"))
    assert (caught.value.kind, paths.asked) == ("private address", {})


def test_what_passes_comes_in_the_end(paths: Paths) -> None:
    paths["/a"] = b"picture"
    paths["/a"] = [hosting.status(500), hosting.cut_after(3), hosting.serve]
    assert web().get_picture(paths.address("/a")) == b"picture"


@pytest.mark.parametrize("in_words", [False, True])
def test_a_server_says_how_long_to_wait(paths: Paths, in_words: bool) -> None:
    wait = "1"
    if in_words:  # a date has whole seconds
        wait = email.utils.formatdate(time.time() + 2, usegmt=True)
    paths["/b"] = b"other"
    paths["/a"] = b"picture"
    paths["/a"] = [hosting.saying(429, Retry_After=wait), hosting.serve]
    asking = web()
    assert asking.get_picture(paths.address("/a")) == b"picture"
    assert paths.began[1] - paths.began[0] > 0.9


def test_a_wait_is_counted_by_the_servers_clock(paths: Paths) -> None:
    now_s = time.time() + 10 * 365 * 24 * 3600  # as if this machine's were behind
    until, date = (email.utils.formatdate(at, usegmt=True) for at in (now_s + 1, now_s))
    busy = hosting.raw(
        f"HTTP/1.1 429 Busy\r\nDate: {date}\r\nRetry-After: {until}\r\n\r\n".encode()
    )
    paths["/a"] = b"picture"
    paths["/a"] = [busy, hosting.serve]
    assert web().get_picture(paths.address("/a")) == b"picture"
    assert 0.9 < paths.began[1] - paths.began[0] < 10


def test_others_wait_too_when_a_host_asks_for_it(paths: Paths) -> None:
    paths["/b"] = b"other"
    paths["/a"] = b"picture"
    paths["/a"] = [hosting.saying(503, Retry_After="1"), hosting.serve]
    asking = web()
    first = threading.Thread(target=asking.get_picture, args=(paths.address("/a"),))
    first.start()
    while not paths.asked["/a"]:
        time.sleep(0.01)
    time.sleep(0.1)
    assert asking.get_picture(paths.address("/b")) == b"other"
    first.join()
    assert paths.began[1] - paths.began[0] > 0.9


@pytest.mark.parametrize("wait", ["3600", "99999999999999999999", "Sat, 1 Jan 2124"])
def test_who_asks_to_wait_too_long_is_given_up(paths: Paths, wait: str) -> None:
    error = refused(paths, hosting.saying(429, Retry_After=wait))
    assert (error.kind, error.passing) == ("429", True)
    assert paths.asked["/a"] in (1, 3)  # the last is no date


def test_a_host_that_wants_to_be_left_alone_is_not_asked_again(paths: Paths) -> None:
    paths["/a"] = [hosting.saying(429, Retry_After="3600")]
    paths["/b"] = b"picture"
    asking = web()
    for path in ("/a", "/b"):
        with pytest.raises(FetchError) as caught:
            asking.get_picture(paths.address(path))
        assert (caught.value.kind, caught.value.passing) == ("429", True)
    assert "asked to be left alone for 3600 s" in str(caught.value)
    assert paths.asked == {"/a": 1}


def test_a_redirect_is_not_held_against_who_redirects(paths: Paths) -> None:
    with misbehaving.paths() as closed:
        dead = closed.address("/a")
    paths["/away"] = [hosting.redirect_to(dead)]
    paths["/b"] = b"picture"
    asking = web(Manners(attempts=OUT_OF_REACH, backoff_s=0))
    with pytest.raises(FetchError) as caught:
        asking.get_picture(paths.address("/away"))
    assert caught.value.kind == "unreachable"
    assert asking.get_picture(paths.address("/b")) == b"picture"

    with misbehaving.paths() as busy:
        busy["/a"] = [hosting.saying(503, Retry_After="3600")]
        paths["/busy"] = [hosting.redirect_to(busy.address("/a"))]
        with pytest.raises(FetchError):
            asking.get_picture(paths.address("/busy"))
    assert asking.get_picture(paths.address("/b")) == b"picture"


def test_nonsense_to_wait_for_counts_as_none(paths: Paths) -> None:
    for wait in ("soon", "-1", "²", "1e9", "Mon, 99 Foo"):
        assert refused(paths, hosting.saying(503, Retry_After=wait)).wait_s is None


@pytest.mark.parametrize("per_host", [1, 2])
def test_few_connections_go_to_one_host(paths: Paths, per_host: int) -> None:
    paths.delay_s = 0.02
    asking = web(Manners(per_host=per_host), Limits(total_s=0.2, connect_s=0.2))
    paths["/a"] = [hosting.redirect_to("/b")]
    paths["/b"] = b"picture"
    threads = [
        threading.Thread(target=asking.get_picture, args=(paths.address("/a"),))
        for _ in range(12)  # the last ones wait longer than an attempt may take
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert paths.asked == {"/a": 12, "/b": 12}
    assert paths.most_at_once == per_host


def test_connections_to_one_host_keep_a_distance(paths: Paths) -> None:
    paths["/a"] = b"picture"
    asking = web(Manners(pause_s=0.05))
    for _ in range(4):
        asking.get_picture(paths.address("/a"))
    gaps = [b - a for a, b in zip(paths.began, paths.began[1:], strict=False)]
    assert min(gaps) > 0.03


def test_a_host_out_of_reach_is_left_alone() -> None:
    with misbehaving.paths() as closed:
        url = closed.address("/a")
    asking = web(Manners(attempts=3, backoff_s=0))
    kinds = []
    for _ in range(4):
        with pytest.raises(FetchError) as caught:
            asking.get_picture(url)
        kinds.append(caught.value.kind)
    assert kinds == ["unreachable"] * 4
    assert f"not reached {OUT_OF_REACH} times in a row" in str(caught.value)


def test_answers_are_parsed_and_asked_for_with_parameters(paths: Paths) -> None:
    answer = json.dumps({"a": ["ł"]}).encode()
    paths["/api?q=a+%26+b"] = [hosting.saying(200, answer, Content_Type="text/x")]
    paths["/api?x=1&q=a+%26+b"] = [hosting.saying(200, b"[1]")]
    api = paths.address("/api")
    assert web().get_json(api, {"q": "a & b"}) == {"a": ["ł"]}
    assert web().get_json(f"{api}?x=1", {"q": "a & b"}) == [1]


@pytest.mark.parametrize(
    "body", [b"<html>", b"[" * 100_000, b"1" * 5000, b"\xff\xfe", b'{"a":']
)
def test_an_answer_that_is_no_json_is_an_error(paths: Paths, body: bytes) -> None:
    paths["/api"] = [hosting.saying(200, body)]
    with pytest.raises(FetchError, match=r"Expected JSON from .*/api\. Received") as e:
        web().get_json(paths.address("/api"), {})
    assert e.value.kind == "not JSON"


def test_an_endless_answer_is_cut(paths: Paths) -> None:
    paths["/api"] = [hosting.endless]
    patient = Limits(total_s=20, size_bytes=1)
    with pytest.raises(FetchError) as caught:
        web(limits=patient).get_json(paths.address("/api"), {})
    assert caught.value.kind == "too large"


def test_keys_are_not_shown(paths: Paths) -> None:
    paths["/api?api_key=secret"] = [hosting.status(404)]
    with pytest.raises(FetchError) as caught:
        web().get_json(paths.address("/api"), {"api_key": "secret"})
    assert "secret" not in str(caught.value)
    assert "404" in str(caught.value)


def test_closing_ends_all_waiting(paths: Paths) -> None:
    paths["/a"] = [hosting.saying(429, Retry_After="50")]
    asking = web(Manners(longest_wait_s=60))
    errors: list[FetchError] = []

    def ask() -> None:
        try:
            asking.get_picture(paths.address("/a"))
        except FetchError as error:
            errors.append(error)

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    while not paths.asked["/a"]:
        time.sleep(0.01)
    asking.close()
    for thread in threads:
        thread.join(5)
    assert {error.kind for error in errors} <= {"stopped", "429"}
    assert len(errors) == 4


@pytest.mark.parametrize(
    "options",
    [
        {"per_host": 0},
        {"attempts": 0},
        {"pause_s": -1},
        {"backoff_s": float("nan")},
        {"longest_wait_s": float("inf")},
    ],
)
def test_bad_manners_are_refused(options: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=f"Expected {next(iter(options))} of"):
        Manners(**options)


def test_contact_is_one_line_and_sent(paths: Paths) -> None:
    agents: list[str] = []

    def note(handler: hosting.Handler, _: bytes) -> None:
        agents.append(handler.headers["User-Agent"])
        hosting.saying(200, b"{}")(handler, b"")

    paths["/api"] = [note]
    web(contact="me@example.org").get_json(paths.address("/api"), {})
    assert agents[0].endswith(" (me@example.org)")
    with pytest.raises(ValueError, match="one line of ASCII"):
        web(contact="a\r\nHost: evil")
