"""The pages in a browser, with their Content-Security-Policy: complete, no errors."""

from typing import Any

import pytest

from myapp.core.http.app import App
from myapp.core.testing.browser import Tab

METHODS = {"get", "post", "put", "patch", "delete"}


def count_operations(document: Any) -> int:
    """The number of operations in a document."""
    return sum(len(METHODS & set(path)) for path in document["paths"].values())


@pytest.mark.external
def test_the_index_leads_to_every_page(
    own_app: App, live_server: str, chromium: Any
) -> None:
    with Tab(chromium, live_server, "index") as tab:
        page = tab.open("/")
        links = {link.get_attribute("href") for link in page.query_selector_all("a")}
    features = own_app.extensions["features"].values()
    assert links >= {"/docs", *(f"{one.url_prefix}/docs" for one in features)}


@pytest.mark.external
def test_the_index_is_searched_and_fits_a_telephone(
    live_server: str, chromium: Any
) -> None:
    with Tab(chromium, live_server, "index-narrow") as tab:
        tab.page.set_viewport_size({"width": 390, "height": 844})
        tab.page.emulate_media(color_scheme="dark")
        page = tab.open("/")
        width = page.evaluate("document.documentElement.scrollWidth")
        assert width <= 390
        rows = page.locator("tr[data-route]:visible")
        known, path = rows.count(), rows.last.locator("code").inner_text()
        page.fill("#search", path)
        assert 0 < rows.count() < known
        assert path in rows.first.inner_text()


@pytest.mark.external
def test_an_error_and_the_health_are_pages(live_server: str, chromium: Any) -> None:
    with Tab(chromium, live_server, "health") as tab:
        assert "All is well" in tab.open("/health/ready").inner_text("h1")
    page = chromium.new_page()
    page.goto(f"{live_server}/nowhere")
    assert page.inner_text("h1") == "404 Not found"
    page.get_by_text("What this means").click()
    assert "/problems/not-found" in page.url
    page.close()


@pytest.mark.external
def test_each_page_of_documentation_lists_each_operation(
    own_app: App, live_server: str, chromium: Any
) -> None:
    client = own_app.test_client()
    pages = {"/docs": "/openapi.json"}
    for feature in own_app.extensions["features"].values():
        prefix = feature.url_prefix
        pages[f"{prefix}/docs"] = f"/openapi/{feature.name}.json"
    for path, source in pages.items():
        document = client.get(source).json
        with Tab(chromium, live_server, path.strip("/").replace("/", "-")) as tab:
            page = tab.open(path)
            page.wait_for_selector(".opblock")
            shown = len(page.query_selector_all(".opblock"))
            assert shown == count_operations(document)
            assert page.get_by_text("Warning", exact=True).count() == 0
            page.locator(".opblock-summary-control").first.click()
            page.wait_for_selector(".opblock-body .responses-wrapper")


@pytest.mark.external
def test_a_tab_hears_what_goes_wrong(
    own_app: App, live_server: str, chromium: Any
) -> None:
    with pytest.raises(AssertionError, match="Content Security Policy"):
        with Tab(chromium, live_server, "planted") as tab:
            page = tab.open("/docs")
            page.evaluate("""() => {
                    const script = document.createElement("script");
                    script.textContent = "window.planted = true";
                    document.body.append(script);
                    return fetch("/nowhere");
                }""")
            planted = page.evaluate("window.planted")
    assert planted is None
    told = "\n".join(tab.complaints)
    assert "Content Security Policy" in told and "404 for" in told
