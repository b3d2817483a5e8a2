"""Sessions of browsers: a signed cookie, and nothing that the server has to keep."""

from __future__ import annotations

import hashlib
import hmac
import secrets

COOKIE = "edgeclf-session-"  # begins the name
DURATION_S = 7 * 24 * 3600
# A clock that is set right may go back so far without ending sessions. It is also what
# one lasts beyond `DURATION_S` at most that was begun while the clock was ahead.
CLOCK_S = 24 * 3600
# The cookie lets who sees it try out tokens; this makes each try dear.
_ROUNDS = 100_000


class Sessions:
    """Cookies that the token's holder was given.

    Their key comes from the token: a restart leaves them good, another token does not.

    Args:
        token: That opens a session.
    """

    def __init__(self, token: str) -> None:
        self._key = hashlib.pbkdf2_hmac(
            "sha256", token.encode(), b"edgeclf web session 1", _ROUNDS
        )
        # Cookies do not know ports: two servers of one machine must not share a name.
        self._name = COOKIE + self._signed("name")[:8]

    def name(self, is_https: bool) -> str:
        """Return the cookie's name; of https one that other hosts cannot set.

        Source: RFC 6265bis, 4.1.3.2.
        """
        return f"__Host-{self._name}" if is_https else self._name

    def issue(self, now_s: float) -> str:
        """Return the value of a new session's cookie.

        Args:
            now_s: Seconds since 1970.
        """
        content = f"{int(now_s) + DURATION_S}.{secrets.token_hex(8)}"
        return f"{content}.{self._signed(content)}"

    def is_open(self, header: str, now_s: float) -> bool:
        """Tell whether a `Cookie` header has a session that goes on.

        Somebody beside this server may have set a cookie of that name: any good one
        counts.
        """
        names = (self.name(True), self.name(False))  # a proxy may have the https
        for pair in header.split(";"):
            key, _, value = pair.strip().partition("=")
            if key in names and self._is_good(value, now_s):
                return True
        return False

    def _is_good(self, value: str, now_s: float) -> bool:
        content, _, signature = value.rpartition(".")
        if not hmac.compare_digest(
            signature.encode(errors="replace"), self._signed(content).encode()
        ):
            return False
        return now_s < int(content.partition(".")[0]) <= now_s + DURATION_S + CLOCK_S

    def _signed(self, content: str) -> str:
        return hmac.new(
            self._key, content.encode(errors="replace"), hashlib.sha256
        ).hexdigest()
