"""The ``>>>`` code of the pages prints what the pages say.

Blocks of ``python`` share the names of their page. A ``{plot}`` block has what Matplotlib's directive gives it: names
of its own, or with ``:context:`` those of the blocks of its page that have it too.
"""

import doctest
import re
import warnings
from pathlib import Path

import pytest
import sklearn

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted(ROOT.glob("docs/**/*.md"))]
FENCE = re.compile(r"^(`{3,})(python|pycon|\{plot\})\n(.*?)^\1$", re.MULTILINE | re.DOTALL)
OPTIONS = doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS


def blocks(page):
    """The Python blocks of a page: the line before the first, the language, and the code."""
    text = page.read_text(encoding="utf-8")
    for fence in FENCE.finditer(text):
        yield text[: fence.start(3)].count("\n"), fence[2], fence[3]


def name(page):
    return page.relative_to(ROOT).as_posix()


def doctests_of(page):
    """A doctest for each block of a page."""
    spaces = {"page": {}, "plots": {}}
    for line, language, code in blocks(page):
        if ">>>" not in code:
            continue
        space = "page" if language != "{plot}" else "plots" if ":context:" in code else line
        examples = doctest.DocTestParser().get_examples(code, name(page))
        test = doctest.DocTest(examples, {}, name(page), str(page), line, code)
        test.globs = spaces.setdefault(space, {"__name__": "__main__"})
        yield test


@pytest.mark.parametrize("page", [page for page in PAGES if list(doctests_of(page))], ids=name)
def test_code_prints_what_the_page_says(page, tmp_path, monkeypatch):
    if "{plot}" in page.read_text(encoding="utf-8"):
        matplotlib = pytest.importorskip("matplotlib", reason="Matplotlib is not installed (pip install matplotlib)")
        matplotlib.use("agg")
    monkeypatch.chdir(tmp_path)
    runner, report = doctest.DocTestRunner(optionflags=OPTIONS), []
    with sklearn.config_context(), warnings.catch_warnings():
        for test in doctests_of(page):
            runner.run(test, out=report.append, clear_globs=False)
    if "{plot}" in page.read_text(encoding="utf-8"):
        matplotlib.pyplot.close("all")
    assert not report, "".join(report)


def test_all_code_is_run():
    """A block without ``>>>`` is in a page that `test_pages` runs, or in the README."""
    run_whole = (Path(__file__).with_name("test_pages.py")).read_text(encoding="utf-8")
    unrun = [
        f"{name(page)}:{line + 1}"
        for page in PAGES[1:]
        for line, _, code in blocks(page)
        if ">>>" not in code and f'run("{page.name}"' not in run_whole
    ]
    assert unrun == [], "begin the lines with >>>, or run the page in tests/pages/test_pages.py"
