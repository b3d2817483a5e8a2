"""Search Wikimedia Commons: free pictures, scaled down on the server.

Source: https://www.mediawiki.org/wiki/API:Search and API:Imageinfo;
https://www.mediawiki.org/wiki/Wikimedia_APIs/Access_policy for the user agent, which
has to say whom to ask.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from edgeclf.collecting import licenses
from edgeclf.collecting.answers import (
    address_of,
    base_address,
    entries_of,
    plain_text,
    text_of,
)
from edgeclf.collecting.found import Found
from edgeclf.collecting.web import Web
from edgeclf.errors import DownloadError
from edgeclf.inputs.connection import FetchError

URL = "https://commons.wikimedia.org/w/api.php"
URL_VARIABLE = "EDGECLF_WIKIMEDIA_URL"
PAGE_SIZE = 50  # of no more are scaled pictures given
# One of the widths that are there already: others are answered by 429.
# Source: https://www.mediawiki.org/wiki/Common_thumbnail_sizes
WIDTH = 960
REFUSALS = frozenset({"403", "429"})
MIME_TYPES = frozenset({"image/jpeg", "image/png", "image/webp", "image/tiff"})

_FIXED = {
    "action": "query",
    "format": "json",
    "formatversion": "2",
    "generator": "search",
    "gsrnamespace": "6",  # files
    "gsrlimit": str(PAGE_SIZE),
    "prop": "imageinfo",
    "iiprop": "url|size|mime|extmetadata",
    "iiextmetadatafilter": "Artist|License|LicenseShortName|LicenseUrl|ObjectName",
    "iiurlwidth": str(WIDTH),
}


def search(
    query: str,
    labels: tuple[str, ...],
    web: Web,
    license_choice: str = licenses.DEFAULT,
) -> Iterator[Found]:
    """Yield the pictures of a query, best first, a page at a time.

    Args:
        query: What to look for; Commons' own search words work.
        labels: Class folders of what is found.
        web: What fetches.
        license_choice: One of `licenses.CHOICES`. Commons holds free pictures only,
            some of them under other licences, which "any" lets pass.

    Raises:
        DownloadError: Commons cannot be reached, refuses, or answers nonsense.
    """
    allowed = licenses.CHOICES[license_choice]
    identifiers: set[str] = set()
    place: dict[str, str] = {}
    while True:
        # Drawings, films and sounds are left out by the search itself.
        asked = _FIXED | {"gsrsearch": f"filetype:bitmap {query}"} | place
        answer = _ask(web, asked)
        is_new = False
        for page in _pages(answer):
            identifier = text_of(page, "pageid")
            if identifier is None or identifier in identifiers:
                continue
            if not page.get("imageinfo"):  # it comes with a later part of the answer
                continue
            identifiers.add(identifier)
            is_new = True
            found = _found(page, identifier, labels)
            if found is None:
                continue
            code = licenses.code_of(found.license_url, found.license)
            if (code or licenses.OTHER) in allowed:
                yield found
        following = _place_after(answer)
        if not following or following == place or not is_new:
            return
        place = following


def _ask(web: Web, parameters: Mapping[str, str]) -> Any:
    try:
        return web.get_json(base_address(URL_VARIABLE, URL), parameters)
    except FetchError as error:
        if error.kind not in REFUSALS:
            raise
        raise DownloadError(
            f"{error} Wikimedia turns away programs that do not say whom to contact: "
            "give your e-mail address or your page as the contact (--contact)."
        ) from None


def _pages(answer: Any) -> list[Any]:
    """Return the pages, in the order of the search; they come in another one.

    Raises:
        DownloadError: The answer is an error, or nonsense.
    """
    if isinstance(answer, Mapping):
        if "error" in answer:  # with status 200
            code = text_of(answer, "error", "code") or "unknown"
            reason = text_of(answer, "error", "info") or "no reason given"
            raise DownloadError(f"Wikimedia Commons refuses: {reason} ({code}).")
        if "query" not in answer and answer.get("batchcomplete"):
            return []  # nothing found
    pages = entries_of(answer, "Wikimedia Commons", "query", "pages")

    def rank(page: object) -> int:
        index = page.get("index") if isinstance(page, Mapping) else None
        return index if isinstance(index, int) else 1 << 30

    return sorted(pages, key=rank)


def _place_after(answer: Any) -> dict[str, str]:
    """Return the parameters that ask for the next page; none after the last."""
    following = answer.get("continue")
    if not isinstance(following, Mapping):
        return {}
    return {str(name): str(value) for name, value in following.items()}


def _found(page: Any, identifier: str, labels: tuple[str, ...]) -> Found | None:
    details = page.get("imageinfo")
    info: Any = details[0] if isinstance(details, list) and details else None
    url = address_of(info, "thumburl", "url")
    if url is None or text_of(info, "mime") not in MIME_TYPES:
        return None
    metadata = info.get("extmetadata")
    title = text_of(page, "title") or ""
    license_url = text_of(metadata, "LicenseUrl", "value")
    if license_url and license_url.startswith("//"):
        license_url = f"https:{license_url}"
    return Found(
        url,
        labels,
        "wikimedia",
        identifier=identifier,
        page=address_of(info, "descriptionurl"),
        title=_plain(metadata, "ObjectName") or title.removeprefix("File:") or None,
        author=_plain(metadata, "Artist"),
        license=text_of(metadata, "LicenseShortName", "value")
        or text_of(metadata, "License", "value"),
        license_url=license_url,
    )


def _plain(metadata: object, name: str) -> str | None:
    """Return a field without its HTML."""
    entry = metadata.get(name) if isinstance(metadata, Mapping) else None
    value = entry.get("value") if isinstance(entry, Mapping) else None
    return (plain_text(value) or None) if isinstance(value, str) else None
