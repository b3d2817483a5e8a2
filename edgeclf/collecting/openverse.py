"""Search Openverse: the openly licensed pictures of many collections in one place.

Source: https://api.openverse.org/v1/ ("Openverse API", images_search), and
`api/serializers/media_serializers.py` of WordPress/openverse for fields and limits.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from typing import Any

from edgeclf.collecting import licenses
from edgeclf.collecting.answers import address_of, base_address, entries_of, text_of
from edgeclf.collecting.found import Found
from edgeclf.collecting.web import Web
from edgeclf.errors import DownloadError
from edgeclf.inputs.connection import FetchError

URL = "https://api.openverse.org/v1/images/"
URL_VARIABLE = "EDGECLF_OPENVERSE_URL"
TOKEN_VARIABLE = "EDGECLF_OPENVERSE_TOKEN"  # noqa: S105 - a name
REGISTER_PAGE = "https://api.openverse.org/v1/#tag/auth"
REFUSALS = frozenset({"401", "403", "429"})
# Without a token more than 20 a page is answered by 401, and beyond page 20 there is
# nothing with one either.
PAGE_SIZE = 20
MAX_PAGES = 20


def search(
    query: str,
    labels: tuple[str, ...],
    web: Web,
    license_choice: str = licenses.DEFAULT,
) -> Iterator[Found]:
    """Yield the pictures of a query, a page at a time.

    Args:
        query: What to look for; Openverse reads the first 200 letters.
        labels: Class folders of what is found.
        web: What fetches.
        license_choice: One of `licenses.CHOICES`.

    Raises:
        DownloadError: Openverse cannot be reached, refuses, or answers nonsense.
    """
    allowed = licenses.CHOICES[license_choice]
    identifiers: set[str | None] = set()
    for page in range(1, MAX_PAGES + 1):
        answer = _ask(web, query, sorted(allowed - {licenses.OTHER}), page)
        entries = entries_of(answer, "Openverse", "results")
        is_new = False
        for entry in entries:
            found = _found(entry, labels)
            if found is None or found.identifier in identifiers:
                continue
            identifiers.add(found.identifier)
            is_new = True
            if licenses.code_of(found.license_url, found.license) in allowed:
                yield found
        pages = answer.get("page_count")
        if not is_new or (isinstance(pages, int) and page >= pages):
            return


def _ask(web: Web, query: str, codes: list[str], page: int) -> Any:
    parameters = {
        "q": query,
        "license": ",".join(codes),
        "page": str(page),
        "page_size": str(PAGE_SIZE),
    }
    token = os.environ.get(TOKEN_VARIABLE, "")
    if not re.fullmatch(r"[!-~]*", token):
        raise DownloadError(f"Expected {TOKEN_VARIABLE} to be one word of ASCII.")
    try:
        return web.get_json(
            base_address(URL_VARIABLE, URL),
            parameters,
            f"Bearer {token}" if token else None,
        )
    except FetchError as error:
        if error.kind not in REFUSALS:
            raise
        advice = (
            f"Check {TOKEN_VARIABLE}: a token lasts some hours."
            if token
            else "Without a token Openverse answers few requests a day: it gives one "
            f"to who registers, see {REGISTER_PAGE}; put it into the environment "
            f"variable {TOKEN_VARIABLE}."
        )
        raise DownloadError(f"{error} {advice}") from None


def _found(entry: object, labels: tuple[str, ...]) -> Found | None:
    url = address_of(entry, "url")
    if url is None:
        return None
    license_url = address_of(entry, "license_url")
    code = text_of(entry, "license")
    version = text_of(entry, "license_version") or licenses.version_of(license_url)
    return Found(
        url,
        labels,
        "openverse",
        identifier=text_of(entry, "id"),
        page=address_of(entry, "foreign_landing_url", "detail_url"),
        title=text_of(entry, "title"),
        author=text_of(entry, "creator"),
        license=licenses.name_of(code.lower(), version) if code else None,
        license_url=license_url,
    )
