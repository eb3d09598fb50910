"""Links, files and commands in the pages exist."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
FOLDERS = (ROOT, ROOT / "skconvnet", ROOT / "docs")  # to which paths in pages are relative


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_to_files(page):
    links = re.findall(r"\]\((?!https?:)([^)#]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8"))
    assert [link for link in links if not (page.parent / link).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_files_that_are_named_exist(page):
    named = re.findall(r"[\w./]*/[\w./]*\.(?:py|md|cfg|toml)\b|[\w/]+/(?=`)", page.read_text(encoding="utf-8"))
    assert [path for path in named if not any((folder / path).exists() for folder in (page.parent, *FOLDERS))] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_run_modules_that_exist(page):
    modules = re.findall(r"python -m ((?:benchmarks|examples|tests)[\w.]*)", page.read_text(encoding="utf-8"))
    assert [name for name in modules if not (ROOT / f"{name.replace('.', '/')}.py").exists()] == []


def test_no_page_has_the_name_of_one_that_sphinx_writes():
    assert [page.name for page in PAGES if page.stem in {"search", "genindex", "py-modindex"}] == []
