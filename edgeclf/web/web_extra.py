"""The extra `[web]`: say how to install it where it is missing."""

from __future__ import annotations

from edgeclf.errors import MissingExtraError


def require() -> None:
    """Import what the web app stands on.

    Raises:
        MissingExtraError: It is not installed.
    """
    try:
        import fastapi  # noqa: F401
        import jinja2  # noqa: F401
        import python_multipart  # noqa: F401
        import uvicorn  # noqa: F401
    except ImportError as error:
        raise MissingExtraError(
            f"Expected FastAPI and uvicorn, which the web app stands on ({error}). "
            'Install them with: pip install "edgeclf[web]"'
        ) from error
