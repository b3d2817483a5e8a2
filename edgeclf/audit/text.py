"""The audit as text for people: grouped, counted, examples first, what to do."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from edgeclf.audit.audit import Audit
from edgeclf.console import number_of
from edgeclf.data.findings import KINDS, Finding
from edgeclf.data.listing import BACKGROUND

EXAMPLES = 5
OTHERS = 2  # that an example names


def text(audit: Audit, folder: str, examples: int = EXAMPLES) -> str:
    """Return the report.

    Args:
        audit: What was found.
        folder: The dataset's folder, as it was given.
        examples: Findings of each kind to list.
    """
    lines = [_summary(audit, folder)]
    for kind, (severity, title, advice) in KINDS.items():
        members = [finding for finding in audit.findings if finding.kind == kind]
        if not members:
            continue
        lines += ["", f"{severity} {kind}: {len(members):,} ({title})"]
        lines += [f"    {line}" for line in _examples(members, examples)]
        lines.append(f"  {advice}")
    if not audit.findings:
        lines += ["", "Nothing is wrong with them."]
    return "\n".join(lines)


def _summary(audit: Audit, folder: str) -> str:
    counts = dict(audit.counts)
    strange = counts.pop(BACKGROUND, 0)
    sizes = counts.values()
    one, several = ("tag", "tags") if audit.tags else ("class", "classes")
    folders = number_of(len(sizes), one, several)
    line = f"{folder}: {number_of(sum(sizes), 'picture')} in {folders}"
    if len(sizes) > 1:
        line += f", {min(sizes):,} to {max(sizes):,} a {one}"
    return line + (f", {strange:,} more of no {one} ({BACKGROUND})" if strange else "")


def _examples(members: Sequence[Finding], examples: int) -> Iterator[str]:
    for finding in members[:examples]:
        line = f"{finding.file}: {finding.detail}" if finding.detail else finding.file
        if finding.others:
            named = ", ".join(finding.others[:OTHERS])
            more = len(finding.others) - OTHERS
            line += f" as {named}" + (f" and {more} more" if more > 0 else "")
        yield line
    if len(members) > examples:
        yield f"... and {len(members) - examples:,} more (--json lists all)"
