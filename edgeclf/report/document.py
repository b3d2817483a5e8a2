"""The page around the sections: one file that loads nothing from anywhere."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Sequence
from hashlib import sha256

from edgeclf.report.layout import Section
from edgeclf.report.markup import Child, Markup, element, join
from edgeclf.report.style import STYLE

FEW_SECTIONS = 3  # a table of contents would only take room away

# Makes the headings of tables press to sort by them: figures from the highest, names
# from A, and the other way round when pressed again. Without it the page reads as well.
SCRIPT = """
for (const table of document.querySelectorAll("table.sortable")) {
  const body = table.tBodies[0];
  table.querySelectorAll("thead th").forEach((head, column) => {
    const isNumber = head.classList.contains("number");
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const was = head.getAttribute("aria-sort");
      const now = was ? (was === "ascending" ? "descending" : "ascending")
                      : (isNumber ? "descending" : "ascending");
      const sign = now === "ascending" ? 1 : -1;
      const key = row => {
        const words = row.cells[column].textContent;
        const figure = parseFloat(words.replace(/,/g, ""));
        return isNumber ? (Number.isNaN(figure) ? -1 : figure) : words;
      };
      const compare = (a, b) =>
        isNumber ? key(a) - key(b) : key(a).localeCompare(key(b));
      const rows = [...body.rows].sort((a, b) => sign * compare(a, b));
      table.querySelectorAll("thead th").forEach(th => th.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", now);
      body.append(...rows);
    });
  });
}
"""


def document(
    title: str, header: Child, sections: Sequence[Section], footer: Child = None
) -> str:
    """Return a whole HTML page.

    Its policy forbids every request, and every style and script but its own.

    Args:
        title: Of the window.
        header: What stands above the sections, with the page's `h1`.
        sections: In order; each gets a heading and a place in the contents, which
            are left out where there are few.
        footer: What stands below.
    """
    has_contents = len(sections) > FEW_SECTIONS
    style, script = Markup(STYLE), Markup(SCRIPT)
    policy = (
        f"default-src 'none'; img-src data:; style-src {_digest(style)}; "
        f"script-src {_digest(script)}; base-uri 'none'; form-action 'none'"
    )
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", http_equiv="Content-Security-Policy", content=policy),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name="color-scheme", content="light dark"),
        element("meta", name="generator", content="edgeclf"),
        element("title", title),
        element("style", style),
    )
    body = element(
        "body",
        element("a", "Skip to the figures", href="#figures", class_="skip"),
        element("header", header),
        element(
            "div",
            _contents(sections) if has_contents else None,
            element("main", map(_section, sections), id="figures", tabindex=-1),
            class_="columns" if has_contents else "column-only",
        ),
        element("footer", footer) if footer else None,
        element("script", script),
    )
    page = element("html", head, body, lang="en")
    return f"<!DOCTYPE html>\n{page}\n"


def _contents(sections: Sequence[Section]) -> Markup:
    links = [
        element("li", element("a", section.title, href=f"#{section.key}"))
        for section in sections
    ]
    return element("nav", element("ul", links), aria_label="Contents")


def _section(section: Section) -> Markup:
    heading = element("h2", section.title, id=f"{section.key}-title")
    return element(
        "section", heading, join(section.content), id=section.key,
        aria_labelledby=f"{section.key}-title",
    )  # fmt: skip


def _digest(content: str) -> str:
    """Return what names an inline style or script in the policy."""
    return f"'sha256-{b64encode(sha256(content.encode()).digest()).decode()}'"
