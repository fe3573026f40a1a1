"""A tab of a browser that keeps what goes wrong in it."""

from pathlib import Path
from typing import Any

SCREENSHOTS = Path(__file__).parents[3] / "screenshots"
SIZE = {"width": 1280, "height": 900}


class Tab:
    """A page in a browser, and all that it complained about.

    :param browser: a browser of Playwright.
    :param origin: of the server; what is asked of any other is a complaint.
    """

    def __init__(self, browser: Any, origin: str) -> None:
        self.origin = origin
        self.page = browser.new_page(viewport=SIZE)
        self.complaints: list[str] = []
        self.page.on("console", self._hear)
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("request", self._watch)
        self.page.on("requestfailed", lambda one: self.complaints.append(one.url))
        self.page.on("response", self._judge)

    def _hear(self, message: Any) -> None:
        if message.type in ("error", "warning"):
            self.complaints.append(f"{message.type}: {message.text}")

    def _watch(self, request: Any) -> None:
        if not request.url.startswith((self.origin, "data:")):
            self.complaints.append(f"asked for {request.url}")

    def _judge(self, response: Any) -> None:
        if response.status >= 400:
            self.complaints.append(f"{response.status} for {response.url}")

    def open(self, path: str) -> Any:
        """Open a path of the server, until it asks for nothing more."""
        self.page.goto(f"{self.origin}{path}", wait_until="networkidle")
        return self.page

    def close(self, name: str) -> None:
        """Keep a picture of it, and let it go; it must not have complained.

        :param name: of the picture in ``screenshots/``.
        """
        SCREENSHOTS.mkdir(exist_ok=True)
        self.page.screenshot(path=SCREENSHOTS / f"{name}.png", full_page=True)
        self.page.close()
        assert self.complaints == []
