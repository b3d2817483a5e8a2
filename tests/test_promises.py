"""docs/promises.md: a test behind every sentence, and every test is there.

The page is Markdown with footnotes. Below its first heading of the second level every
sentence ends in one, such as `It is so.[^name]`, up to the section on what is not
promised. A footnote names tests as `tests/test_x.py::test_name`, and may name targets
as `make name`.
"""

from __future__ import annotations

import ast
import re
from collections import Counter
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "promises.md"
if not PAGE.is_file():
    pytest.skip("no checkout around these tests", allow_module_level=True)
NOT_PROMISED = "## Not promised"

_FOOTNOTE = re.compile(r"^\[\^([\w-]+)\]:(.*(?:\n[ \t]+\S.*)*)", re.MULTILINE)
_TEST = re.compile(r"`(tests/\w+\.py)::(\w+)`")
_TARGET = re.compile(r"`make ([\w-]+)`")


def promises(page: str) -> str:
    """Return the part of the page in which every sentence has a footnote."""
    body = _FOOTNOTE.sub("", page)
    body = body[body.index("\n## ") :]
    return body.partition(NOT_PROMISED)[0]


def bare_sentences(page: str) -> list[str]:
    """Return the ends of sentences, and the list items, without a footnote."""
    body = re.sub(r"`[^`]*`", lambda code: code[0].replace(".", "_"), promises(page))
    blocks = re.split(r"\n(?=\s*\n|- |## )", body)
    bare = []
    for block in blocks:
        text = " ".join(block.split())
        if not text or text.startswith("## "):
            continue
        ends = re.findall(r"[^.!?]*[.!?](?=\s|$)", text)
        bare += ends or ([] if re.search(r"\[\^[\w-]+\]$", text) else [text])
    return [sentence.strip() for sentence in bare]


def faults(page: str, root: Path = ROOT) -> list[str]:
    """Return what is wrong with the page, a line for each fault."""
    found = [f"without a footnote: {sentence}" for sentence in bare_sentences(page)]
    notes = dict(_FOOTNOTE.findall(page))
    used = Counter(re.findall(r"\[\^([\w-]+)\](?!:)", _FOOTNOTE.sub("", page)))
    found += [f"no such footnote: {name}" for name in used if name not in notes]
    found += [f"nobody's footnote: {name}" for name in notes if name not in used]
    for name, text in notes.items():
        tests = _TEST.findall(text)
        if not tests:
            found.append(f"a footnote without a test: {name}")
        if rest := re.sub(r"[\s,;.]|and", "", _TARGET.sub("", _TEST.sub("", text))):
            found.append(f"not understood in {name}: {rest}")
        found += [
            f"{path}::{test}: {problem}"
            for path, test in tests
            if (problem := problem_of(root / path, test))
        ]
    makefile = (root / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([\w-]+):", makefile, re.MULTILINE))
    found += [
        f"no such target: {name}"
        for name in _TARGET.findall(page)
        if name not in targets
    ]
    return found


@cache
def parsed(source: str) -> ast.Module:
    """Return what a test's file holds; many tests of one file are named."""
    return ast.parse(source)


def problem_of(path: Path, name: str) -> str:
    """Return why pytest would not run a test, "" if it would, here or elsewhere."""
    if not path.is_file():
        return "no such file"
    module = parsed(path.read_text(encoding="utf-8"))
    if any(always_skips(statement) for statement in module.body):
        return "all of the file is skipped, always"
    tests = [
        node
        for node in module.body
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
        and node.name == name
    ]
    if not tests or not name.startswith("test_"):
        return "no such test"
    test = tests[-1]
    if any(is_skip(decorator) for decorator in test.decorator_list):
        return "skipped, always"
    if any(always_skips(statement) for statement in test.body):
        return "skips itself, always"
    if not any(
        isinstance(node, (ast.Assert, ast.With, ast.Call)) for node in ast.walk(test)
    ):
        return "tests nothing"
    return ""


def always_skips(statement: ast.stmt) -> bool:
    """Return whether a statement skips without asking: `skip(...)`, `pytestmark`."""
    if isinstance(statement, ast.Assign):
        names = [ast.unparse(target) for target in statement.targets]
        return names == ["pytestmark"] and is_skip(statement.value)
    return isinstance(statement, ast.Expr) and is_skip(statement.value)


def is_skip(node: ast.expr) -> bool:
    """Return whether an expression skips, or expects to fail, unconditionally."""
    name = ast.unparse(node.func if isinstance(node, ast.Call) else node)
    if name in ("pytest.skip", "pytest.xfail", "pytest.mark.skip"):
        return True
    return name == "pytest.mark.xfail" and not (
        isinstance(node, ast.Call) and node.args
    )


def test_every_sentence_has_tests_that_are_there() -> None:
    assert faults(PAGE.read_text(encoding="utf-8")) == []


def test_page_is_about_everything() -> None:
    headings = re.findall(r"^## (.*)", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    topics = "Pictures Failures Trust Privacy Determinism Contract Figures Supply Scale"
    for topic in topics.split():
        assert any(topic.casefold() in heading.casefold() for heading in headings)


GOOD = """# A page

An introduction. It may say what it likes.

## Pictures

- It is so.[^so] `a.b` is so too,
  and more.[^more]
- Also this[^so]

## Not promised

Anything else.

[^so]: `tests/test_a.py::test_one`, `tests/test_a.py::test_two`
[^more]: `tests/test_a.py::test_two`;
    `make fuzz`
"""
TESTS = """
import pytest

def helper(): pass

def test_one():
    assert helper() is None

@pytest.mark.skipif(True, reason="here")
def test_two():
    assert helper() is None

@pytest.mark.skip
def test_never(): assert True

@pytest.mark.skip(reason="no")
def test_not_either(): assert True

def test_gives_up():
    pytest.skip("not now")

def test_nothing():
    pass
"""


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        ("It is so.[^so]", "It is so.", "without a footnote: - It is so."),
        ("It is so.", "It is so. Is it?", "without a footnote: - It is so."),
        ("more.[^more]", "more", "nobody's footnote: more"),
        ("Also this[^so]", "Also this", "without a footnote: - Also this"),
        ("so too,", "so too. And", "without a footnote: [^so] `a_b` is so too."),
        ("this[^so]", "this[^other]", "no such footnote: other"),
        (": `tests/test_a.py::test_two`;", ":", "a footnote without a test: more"),
        ("`;\n", "` tested by hand;\n", "not understood in more: testedbyh"),
        ("make fuzz", "make money", "no such target: money"),
        (
            "test_a.py::test_one",
            "test_b.py::test_one",
            "test_b.py::test_one: no such file",
        ),
        ("test_one", "test_three", "no such test"),
        ("test_one", "helper", "no such test"),
        ("test_one", "test_never", "skipped, always"),
        ("test_one", "test_not_either", "skipped, always"),
        ("test_one", "test_gives_up", "skips itself, always"),
        ("test_one", "test_nothing", "tests nothing"),
    ],
)
def test_fault_of_a_page_is_found(
    old: str, new: str, fault: str, tmp_path: Path
) -> None:
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests" / "test_a.py").write_text(TESTS)
    (tmp_path / "Makefile").write_text("fuzz: .venv\n")
    assert faults(GOOD, tmp_path) == []
    assert old in GOOD
    found = faults(GOOD.replace(old, new), tmp_path)
    assert found
    assert any(fault in line for line in found), found


def test_file_that_is_skipped_is_found(tmp_path: Path) -> None:
    path = tmp_path / "test_a.py"
    for line in (
        'pytest.skip("no", allow_module_level=True)',
        "pytestmark = pytest.mark.skip",
    ):
        path.write_text(f"import pytest\n{line}\ndef test_one(): assert True\n")
        assert problem_of(path, "test_one") == "all of the file is skipped, always"
    path.write_text(
        'pytestmark = pytest.mark.skipif(X, reason="")\ndef test_one(): assert 1'
    )
    assert problem_of(path, "test_one") == ""
