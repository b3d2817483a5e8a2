"""The extra `[bot]`: say how to install it where it is missing."""

from __future__ import annotations

import sys
from importlib.util import find_spec

from edgeclf.errors import MissingExtraError


def require() -> None:
    """Import what the bot stands on.

    Raises:
        MissingExtraError: It is not installed.
    """
    try:
        import telegram  # noqa: F401
        import tornado  # noqa: F401
    except ImportError as error:
        raise MissingExtraError(
            f"Expected python-telegram-bot and tornado, which the bot stands on "
            f'({error}). Install them with: pip install "edgeclf[bot]"'
        ) from error
    if find_spec("sniffio") is None:
        # The HTTP client tries to import it in every request, several times. To look
        # through all folders for what is not installed took 15 % to 25 % of the
        # bot's processor time; None says at once that it is not there.
        sys.modules["sniffio"] = None  # type: ignore[assignment]
