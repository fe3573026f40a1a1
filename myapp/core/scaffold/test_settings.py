"""The page of the settings says what the code says."""

from pathlib import Path

from myapp.core.http.app import App
from myapp.core.scaffold.settings import tables, with_tables

ROOT = Path(__file__).parents[3]


def test_the_page_of_the_settings_is_that_of_the_code(app: App) -> None:
    page = (ROOT / "docs" / "settings.md").read_text()
    made = tables(app)
    assert with_tables(page, made) == page, "flask settings --save writes it"


def test_each_setting_has_a_meaning(app: App) -> None:
    made = tables(app)
    rows = [line for line in made.splitlines() if line.startswith("| `")]
    assert len(rows) > 50
    assert [row for row in rows if row.rstrip().endswith("|  |")] == []
