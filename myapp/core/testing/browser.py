"""A browser page that records its errors."""

from pathlib import Path
from typing import Any, Self

SCREENSHOTS = Path(__file__).parents[3] / "screenshots"
SIZE = {"width": 1280, "height": 900}


class Tab:
    """A browser page and its errors. At the end of the ``with`` block a screenshot is
    saved, also after a failure, and an error on the page fails the test.

    :param browser: a browser of Playwright.
    :param origin: of the server; a request to any other origin is an error.
    :param name: of the screenshot in ``screenshots/``.
    :param others: origins that may be asked, too.
    """

    def __init__(self, browser: Any, origin: str, name: str, *others: str) -> None:
        self.origin = origin
        self.known = ("data:", *(f"{one}/" for one in (origin, *others)))
        self.picture = SCREENSHOTS / f"{name}.png"
        self.page = browser.new_page(viewport=SIZE)
        self.complaints: list[str] = []
        self.page.on("console", self._hear)
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("request", self._watch)
        self.page.on("requestfailed", lambda one: self.complaints.append(one.url))
        self.page.on("response", self._judge)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        SCREENSHOTS.mkdir(exist_ok=True)
        self.page.screenshot(path=self.picture, full_page=True)
        self.page.close()
        if error is not None:
            error.add_note(f"errors of the page: {self.complaints}")
        else:
            assert self.complaints == []

    def _hear(self, message: Any) -> None:
        if message.type in ("error", "warning"):
            self.complaints.append(f"{message.type}: {message.text}")

    def _watch(self, request: Any) -> None:
        if not request.url.startswith(self.known):
            self.complaints.append(f"asked for {request.url}")

    def _judge(self, response: Any) -> None:
        if response.status >= 400:
            self.complaints.append(f"{response.status} for {response.url}")

    def open(self, path: str) -> Any:
        """Open a path of the server, and wait until the network is idle."""
        self.page.goto(f"{self.origin}{path}", wait_until="networkidle")
        return self.page
