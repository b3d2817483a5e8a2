"""The searches by name, and what each of them needs."""

from __future__ import annotations

from collections.abc import Iterator

from edgeclf.collecting import engines, flickr, licenses, openverse, wikimedia
from edgeclf.collecting.found import Found
from edgeclf.collecting.web import Web

_PUBLISHING = {
    "openverse": openverse.search,
    "wikimedia": wikimedia.search,
    "flickr": flickr.search,
}
LICENSED = tuple(_PUBLISHING)  # say under which licence each picture is
SOURCES = (*LICENSED, *engines.TERMS)


def search(
    source: str,
    query: str,
    labels: tuple[str, ...],
    web: Web,
    license_choice: str = licenses.DEFAULT,
) -> Iterator[Found]:
    """Yield what a source finds; it is asked for no more than is taken.

    What is missing (a key, a package) is said at once and not with the first picture.

    Args:
        source: One of `SOURCES`.
        query: What to look for.
        labels: Class folders of what is found.
        web: What fetches; engines are asked by a package that has its own way.
        license_choice: One of `licenses.CHOICES`.

    Raises:
        ValueError: An argument is none of these.
        MissingExtraError: The package that asks engines is not installed.
        DownloadError: The source needs a key that is not there, or cannot promise the
            licence. While pictures are taken: it cannot be reached, refuses, or answers
            nonsense.
    """
    for name, value, choices in (
        ("source", source, SOURCES),
        ("license_choice", license_choice, tuple(licenses.CHOICES)),
    ):
        if value not in choices:
            raise ValueError(
                f"Expected {name} to be one of {', '.join(choices)}. "
                f"Received: {value!r}."
            )
    if source in _PUBLISHING:
        return _PUBLISHING[source](query, labels, web, license_choice)
    return engines.search(source, query, labels, license_choice)
