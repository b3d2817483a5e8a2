"""Search Flickr, by its licences; needs a key of Flickr's.

Source: https://www.flickr.com/services/api/flickr.photos.search.html and
flickr.photos.licenses.getInfo.html.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from typing import Any

from edgeclf.collecting import licenses
from edgeclf.collecting.answers import address_of, base_address, entries_of, text_of
from edgeclf.collecting.found import Found
from edgeclf.collecting.web import Web
from edgeclf.errors import DownloadError

URL = "https://api.flickr.com/services/rest/"
URL_VARIABLE = "EDGECLF_FLICKR_URL"
KEY_VARIABLE = "EDGECLF_FLICKR_KEY"
KEY_PAGE = "https://www.flickr.com/services/apps/create/"
PAGE_SIZE = 100  # 500 at most; what is not needed need not be asked for
MAX_PHOTOS = 4000  # of one query; beyond them the last page is repeated
# Longest side 1024, 800, 640, 500 and 2048 pixels, and as it was uploaded.
SIZES = ("url_l", "url_c", "url_z", "url_m", "url_k", "url_o")

# Statements of institutions rather than licences, by their addresses.
_PUBLIC_DOMAIN = ("flickr.com/commons/usage", "usa.gov")


def search(
    query: str,
    labels: tuple[str, ...],
    web: Web,
    license_choice: str = licenses.DEFAULT,
) -> Iterator[Found]:
    """Yield the photographs of a query, most relevant first, a page at a time.

    Args:
        query: What to look for in titles, descriptions and tags.
        labels: Class folders of what is found.
        web: What fetches.
        license_choice: One of `licenses.CHOICES`; each leaves out photographs with
            all rights reserved.

    Raises:
        DownloadError: There is no key; or Flickr cannot be reached, refuses, or
            answers nonsense.
    """
    key = os.environ.get(KEY_VARIABLE)
    if not key:
        raise DownloadError(
            f"Expected a key for Flickr in the environment variable {KEY_VARIABLE}. "
            f"Received: none. Flickr gives one at {KEY_PAGE}."
        )
    return _search(query, labels, web, licenses.CHOICES[license_choice], key)


def _search(
    query: str, labels: tuple[str, ...], web: Web, allowed: frozenset[str], key: str
) -> Iterator[Found]:
    names = _licenses(web, key, allowed)
    identifiers: set[str] = set()
    for page in range(1, MAX_PHOTOS // PAGE_SIZE + 1):
        answer = _ask(
            web,
            key,
            "flickr.photos.search",
            text=query,
            license=",".join(names),
            media="photos",
            content_types="0",  # photographs, not drawings or screenshots
            safe_search="1",
            sort="relevance",
            extras=",".join(("license", "owner_name", *SIZES)),
            per_page=str(PAGE_SIZE),
            page=str(page),
        )
        is_new = False
        for entry in entries_of(answer, "Flickr", "photos", "photo"):
            identifier = text_of(entry, "id")
            if identifier is None or identifier in identifiers:
                continue
            identifiers.add(identifier)
            is_new = True
            found = _found(entry, identifier, names, labels)
            if found is not None:
                yield found
        pages = answer["photos"].get("pages")
        if not is_new or (isinstance(pages, int) and page >= pages):
            return


def _licenses(
    web: Web, key: str, allowed: frozenset[str]
) -> dict[str, tuple[str, str | None]]:
    """Return name and address of each licence that is allowed, by Flickr's number.

    Raises:
        DownloadError: There is none.
    """
    answer = _ask(web, key, "flickr.photos.licenses.getInfo")
    names: dict[str, tuple[str, str | None]] = {}
    for entry in entries_of(answer, "Flickr", "licenses", "license"):
        number, url = text_of(entry, "id"), address_of(entry, "url")
        if number is None or url is None:
            continue
        is_public = any(place in url for place in _PUBLIC_DOMAIN)
        code = "pdm" if is_public else licenses.code_of(url)
        if code in allowed:
            name = text_of(entry, "name") if is_public else None
            names[number] = (
                name or licenses.name_of(code, licenses.version_of(url)),
                url,
            )
    if not names:
        raise DownloadError("Flickr names no licence that is wanted.")
    return names


def _ask(web: Web, key: str, method: str, **parameters: str) -> Any:
    """Return Flickr's answer.

    Raises:
        DownloadError: It cannot be had, or says that something failed; the key is not
            in the message.
    """
    fixed = {"method": method, "api_key": key, "format": "json", "nojsoncallback": "1"}
    try:
        answer = web.get_json(base_address(URL_VARIABLE, URL), fixed | parameters)
    except DownloadError as error:
        raise DownloadError(str(error).replace(key, "...")) from None
    if isinstance(answer, Mapping) and answer.get("stat") == "fail":  # status 200
        reason = text_of(answer, "message") or "no reason given"
        code = text_of(answer, "code")
        advice = f" Check {KEY_VARIABLE}." if code == "100" else ""
        raise DownloadError(f"Flickr refuses: {reason} (code {code}).{advice}")
    return answer


def _found(
    entry: object,
    identifier: str,
    names: Mapping[str, tuple[str, str | None]],
    labels: tuple[str, ...],
) -> Found | None:
    url = address_of(entry, *SIZES)
    number = text_of(entry, "license")
    if url is None or number is None or number not in names:
        return None
    owner = text_of(entry, "owner")
    name, license_url = names[number]
    return Found(
        url,
        labels,
        "flickr",
        identifier=identifier,
        page=f"https://www.flickr.com/photos/{owner}/{identifier}/" if owner else None,
        title=text_of(entry, "title"),
        author=text_of(entry, "ownername") or owner,
        license=name,
        license_url=license_url,
    )
