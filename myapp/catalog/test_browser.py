"""Films in a browser: "Try it out" shows them."""

from typing import Any

import pytest

from myapp.core.http import App
from myapp.core.testing import Tab, calling


@pytest.mark.external
@pytest.mark.parametrize(
    ("path", "url"),
    [("/docs", "/catalog/movies/"), ("/catalog/docs", "/catalog/movies/")],
)
def test_try_it_out_shows_films(
    own_app: App, live_server: str, chromium: Any, path: str, url: str
) -> None:
    for title, year in (("Wanda", 1970), ("Jeanne Dielman", 1975)):
        body = {"title": title, "year": year}
        with calling(own_app, "ed editor") as client:
            client.post("/catalog/movies/", json=body)
    name = f"try-it-out{path.replace('/', '-')}"
    with Tab(chromium, live_server, name) as tab:
        page = tab.open(path)
        block = page.locator(".opblock-get").filter(
            has=page.locator(f'.opblock-summary-path[data-path="{url}"]')
        )
        block.locator(".opblock-summary-control").click()
        block.get_by_role("button", name="Try it out").click()
        block.get_by_role("button", name="Execute").click()
        answer = block.locator(".live-responses-table").last
        answer.get_by_text("Jeanne Dielman").first.wait_for()
        shown = answer.inner_text()
        assert "Wanda" in shown and "200" in shown
