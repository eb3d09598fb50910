"""The page in a browser. One browser opens one page for all tests; each test begins where it sets what it needs."""

import shutil

import pytest

from skconvnet.demo import convolution_page

FLAGS = [
    *("--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"),
    *("--disable-sync", "--no-first-run"),
]
PATIENCE = 240_000  # milliseconds: a busy machine is slow


@pytest.fixture(scope="package")
def opened(tmp_path_factory):
    """The page in a browser, and what went wrong there: messages of the console and requests to other places."""
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    browser = shutil.which("chromium") or shutil.which("chromium-browser")
    if browser is None:
        pytest.skip("there is no Chromium (apt-get install chromium)")
    file = tmp_path_factory.mktemp("demo") / "page.html"
    file.write_text(convolution_page(), encoding="utf-8")
    with playwright.sync_playwright() as running:
        chromium = running.chromium.launch(executable_path=browser, args=FLAGS, timeout=PATIENCE)
        page = chromium.new_page()
        page.set_default_timeout(PATIENCE)
        wrong = []
        page.on("console", lambda message: wrong.append(message.text))
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("request", lambda request: wrong.append(request.url) if request.url != file.as_uri() else None)
        page.goto(file.as_uri())
        yield page, wrong
        chromium.close()


@pytest.fixture
def page(opened):
    page, wrong = opened
    yield page
    assert wrong == []
