"""What a picture's licence allows: the few kinds that searches publish."""

from __future__ import annotations

import re
from collections.abc import Mapping

PUBLIC_DOMAIN = frozenset({"cc0", "pdm"})
# Source: https://creativecommons.org/share-your-work/cclicenses/
CREATIVE_COMMONS = frozenset(
    {"by", "by-sa", "by-nd", "by-nc", "by-nc-sa", "by-nc-nd", *PUBLIC_DOMAIN}
)
OTHER = "other"  # free by the word of who publishes it, but none of the above

# What may be asked for. What is not known is in none of them.
CHOICES: Mapping[str, frozenset[str]] = {
    "any": CREATIVE_COMMONS | {OTHER},
    "commercial": frozenset(code for code in CREATIVE_COMMONS if "nc" not in code),
    "modification": frozenset(code for code in CREATIVE_COMMONS if "nd" not in code),
    "public_domain": PUBLIC_DOMAIN,
    "cc0": frozenset({"cc0"}),
    "by": PUBLIC_DOMAIN | {"by"},
    "by-sa": PUBLIC_DOMAIN | {"by", "by-sa"},
}
DEFAULT = "any"

_OF_URL = re.compile(
    r"//(?:www\.)?creativecommons\.org/(?:licenses|publicdomain)/([a-z-]+)/?(\d\.\d)?",
    re.IGNORECASE,
)
# Nothing may follow but a version and a country: "CC BY, not for sale" is none.
_OF_NAME = re.compile(
    r"(?:cc[ _-]?)?(?P<by>by(?:[ _-](?:nc|sa|nd))*)(?:[ _-]igo)?(?:[ _-]v?\d.*)?"
    r"|(?P<zero>cc[ _-]?(?:0|zero))\b.*|(?P<mark>(?:cc[ _-]?)?pdm?)\b.*",
    re.IGNORECASE,
)
_MARKS = {"zero": "cc0", "mark": "pdm"}


def code_of(url: str | None, name: str | None = None) -> str | None:
    """Return the code of a licence, such as "by-sa"; None if it is none of these.

    Args:
        url: Address of its text.
        name: What the source calls it, such as "CC BY-SA 4.0", "cc-by-sa-4.0" or
            "Public domain"; looked at where the address does not tell.
    """
    match = _OF_URL.search(url or "")
    if match is None:
        return _code_of_name((name or "").strip())
    code = match[1].lower()
    code = _MARKS.get(code, code)
    return code if code in CREATIVE_COMMONS else None


def _code_of_name(name: str) -> str | None:
    if name.lower().replace(" ", "").startswith("publicdomain"):
        return "pdm"
    match = _OF_NAME.fullmatch(name)
    if match is None:
        return None
    if match["by"] is None:
        return _MARKS[match.lastgroup or ""]
    code = re.sub("[ _]", "-", match["by"].lower())
    return code if code in CREATIVE_COMMONS else None


def name_of(code: str, version: str | None) -> str:
    """Return the short name of a licence, such as "CC BY-SA 4.0"."""
    if code == "pdm":
        return "Public domain"
    name = "CC0" if code == "cc0" else f"CC {code.upper()}"
    return f"{name} {version}" if version else name


def version_of(url: str | None) -> str | None:
    """Return the version that a licence's address names, such as "4.0"."""
    match = _OF_URL.search(url or "")
    return match[2] if match else None
