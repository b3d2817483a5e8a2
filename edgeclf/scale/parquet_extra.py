"""The extra `[parquet]`: say how to install it where it is missing."""

from __future__ import annotations

from edgeclf.errors import MissingExtraError


def require() -> None:
    """Import what reads and writes Parquet, here and in object stores.

    Raises:
        MissingExtraError: It is not installed.
    """
    try:
        import fsspec  # noqa: F401
        import pyarrow.parquet  # noqa: F401
    except ImportError as error:
        raise MissingExtraError(
            f"Expected pyarrow and fsspec, which write Parquet ({error}). "
            'Install them with: pip install "edgeclf[parquet]"'
        ) from error
