"""Who may use the server: the options, sessions, guesses, addresses to go on to."""

from __future__ import annotations

from argparse import Namespace

import pytest

pytest.importorskip("fastapi", reason="fastapi is not installed: edgeclf[web]")

from edgeclf.web.access import MIN_TOKEN, checked_access, is_loopback
from edgeclf.web.guesses import OF_ADDRESS, OF_ALL, WINDOW_S, Guesses
from edgeclf.web.login import own_path
from edgeclf.web.sessions import CLOCK_S, DURATION_S, Sessions
from edgeclf.web.settings import TOKEN_VARIABLE

TOKEN = "a-token-of-enough-length"  # noqa: S105


def options(host="127.0.0.1", **given):
    return Namespace(
        **{
            "host": host,
            "allow_remote": False,
            "token_file": None,
            "no_auth": False,
            "hostname": [],
            **given,
        }
    )


@pytest.fixture
def token_file(tmp_path):
    path = tmp_path / "token.txt"
    path.write_text(f"{TOKEN}\n")
    path.chmod(0o600)
    return path


def test_this_machine_needs_no_token_and_may_have_one(token_file):
    assert checked_access(options(), {}) is None
    assert checked_access(options(), {TOKEN_VARIABLE: "  "}) is None
    assert checked_access(options("localhost"), {TOKEN_VARIABLE: TOKEN}) == TOKEN
    assert checked_access(options("::1", token_file=token_file), {}) == TOKEN
    assert checked_access(options(no_auth=True), {}) is None


ALL = "0.0.0.0"  # noqa: S104 - to be refused


@pytest.mark.parametrize("host", [ALL, "::", "192.168.1.5", "pi.local", ""])
def test_others_need_to_be_meant_and_a_token_or_none(host, token_file):
    with pytest.raises(ValueError, match=r"add --allow_remote and --token_file FILE"):
        checked_access(options(host, token_file=token_file), {})
    with pytest.raises(ValueError, match=r"add --token_file token.txt, or set EDGECLF"):
        checked_access(options(host, allow_remote=True), {})
    remote = options(host, allow_remote=True, token_file=token_file)
    assert checked_access(remote, {}) == TOKEN
    assert checked_access(options(host, allow_remote=True, no_auth=True), {}) is None


def test_options_that_contradict_each_other_are_refused(token_file):
    with pytest.raises(ValueError, match=r"in --token_file or in EDGECLF_TOKEN"):
        checked_access(options(token_file=token_file), {TOKEN_VARIABLE: TOKEN})
    with pytest.raises(ValueError, match=r"--no_auth or a token.*or --token_file"):
        checked_access(options(token_file=token_file, no_auth=True), {})
    with pytest.raises(ValueError, match=r"--no_auth or a token.*or EDGECLF_TOKEN"):
        checked_access(options(no_auth=True), {TOKEN_VARIABLE: TOKEN})


@pytest.mark.parametrize(
    "text", ["", "short", "x" * (MIN_TOKEN - 1), "with space " * 3]
)
def test_a_token_that_will_not_do_is_refused_and_not_repeated(tmp_path, text):
    path = tmp_path / "token.txt"
    path.write_text(text)
    path.chmod(0o600)
    with pytest.raises(ValueError, match=rf"{path}. Received: \d+ char") as caught:
        checked_access(options(token_file=path), {})
    assert not text or text.strip() not in str(caught.value)
    if text.strip():
        with pytest.raises(ValueError, match=r"in EDGECLF_TOKEN. Received"):
            checked_access(options(), {TOKEN_VARIABLE: text})


@pytest.mark.parametrize("name", ["http://pi.local", "pi.local:8000", "", "a b", "*"])
def test_a_hostname_is_a_name(name):
    with pytest.raises(ValueError, match=r"Expected --hostname NAME without http://"):
        checked_access(options(hostname=["pi.local", name]), {})
    assert checked_access(options(hostname=["pi.local"]), {}) is None


def test_a_token_file_that_all_can_read_gets_a_warning(token_file, caplog):
    token_file.chmod(0o644)
    assert checked_access(options(token_file=token_file), {}) == TOKEN
    assert "can be read by everybody" in caplog.text
    with pytest.raises(FileNotFoundError):
        checked_access(options(token_file=token_file.with_name("none")), {})


def test_loopback_is_told_from_what_looks_like_it():
    for host in ("127.0.0.1", "127.9.9.9", "::1", "[::1]", "localhost", "LOCALHOST."):
        assert is_loopback(host)
    for host in ("127.0.0.1.evil.com", "localhost.evil.com", ALL, "::", "127"):
        assert not is_loopback(host)


def test_a_session_ends_and_cannot_be_forged():
    sessions = Sessions(TOKEN)
    value = sessions.issue(1000)
    cookie = f"other=1; {sessions.name(False)}={value}; last=2"
    assert sessions.is_open(cookie, 1000)
    assert sessions.is_open(cookie, 999 + DURATION_S)
    assert not sessions.is_open(cookie, 1000 + DURATION_S)
    assert sessions.is_open(f"{sessions.name(True)}={value}", 1000)
    end, nonce, signature = value.split(".")
    for forged in (
        f"{int(end) + 1}.{nonce}.{signature}",
        f"{end}.{nonce}.{'0' * 64}",
        f"{end}.{nonce}.",
        f"{end}.{nonce}",
        "",
        "..",
        "\u2014\udcff",
    ):
        assert not sessions.is_open(f"{sessions.name(False)}={forged}", 1000)
    # One that somebody else has set beside a good one does not keep anybody out.
    name = sessions.name(False)
    assert sessions.is_open(f"{name}=bad; {name}={value}", 1000)


def test_a_clock_that_jumps_neither_locks_out_nor_lets_in_for_ever():
    sessions = Sessions(TOKEN)

    def is_open(begun_s, now_s):
        cookie = f"{sessions.name(False)}={sessions.issue(begun_s)}"
        return sessions.is_open(cookie, now_s)

    now_s, years_s = 1_800_000_000, 30 * 365 * 24 * 3600
    assert is_open(now_s, now_s - CLOCK_S)  # the clock was set right
    # Begun while it was ahead: it ends no more than a day later than others.
    assert not is_open(now_s + years_s, now_s)
    assert not is_open(now_s + CLOCK_S + 1, now_s)
    assert not is_open(now_s + CLOCK_S, now_s + CLOCK_S + DURATION_S)
    # Begun while it was behind: it has ended, and another one begins as ever.
    assert not is_open(0, now_s)
    assert is_open(now_s, now_s)


def test_a_session_outlasts_a_restart_and_not_another_token():
    cookie = f"{Sessions(TOKEN).name(False)}={Sessions(TOKEN).issue(0)}"
    assert Sessions(TOKEN).is_open(cookie, 1)
    assert not Sessions(TOKEN + "!").is_open(cookie, 1)


def test_guesses_of_an_address_are_limited():
    guesses = Guesses()
    for number in range(OF_ADDRESS):
        assert guesses.wait_s("10.0.0.1", number) == 0
        guesses.was_wrong("10.0.0.1", number)
    assert guesses.wait_s("10.0.0.1", OF_ADDRESS) == WINDOW_S - OF_ADDRESS
    assert guesses.wait_s("10.0.0.2", OF_ADDRESS) == 0
    assert guesses.wait_s("10.0.0.1", WINDOW_S) == 0


def test_guesses_of_one_ipv6_network_are_those_of_one():
    guesses = Guesses()
    for number in range(OF_ADDRESS):
        guesses.was_wrong(f"2001:db8::{number}", 0)
    assert guesses.wait_s("2001:db8::ffff", 1) > 0
    assert guesses.wait_s("2001:db8:0:1::", 1) == 0


def test_guesses_of_many_do_not_keep_out_who_was_right_before():
    guesses = Guesses()
    guesses.was_right("10.0.0.1")
    for number in range(OF_ALL):
        guesses.was_wrong(f"10.1.{number}.1", 0)
    assert guesses.wait_s("10.0.0.2", 1) > 0
    assert guesses.wait_s("10.0.0.1", 1) == 0


def test_only_own_addresses_are_gone_on_to():
    for own in ("/", "/model", "/teach/caf%C3%A9?x=1&y=//z", "/a//b"):
        assert own_path(own) == own
    for other in (
        *("//evil.com", "/\\evil.com", "\\\\evil.com", "https://evil.com", "evil.com"),
        *("/\t/evil.com", "/\n/evil.com", " //evil.com", "javascript:alert(1)", ""),
        *("/\r\nSet-Cookie: a=b", "/x\\y", "/caf\u00e9", "/login?next=/", "/logout"),
    ):
        assert own_path(other) == "/"
