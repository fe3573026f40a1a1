"""The audit over HTTP."""

from collections.abc import Iterator
from typing import Any

import pytest

from myapp.audit.factories import create_audit_line
from myapp.core.http import App
from myapp.core.stores import commit
from myapp.core.testing import Client, calling


@pytest.fixture
def client(app: App) -> Iterator[Any]:
    with calling(app, "eve admin") as client:
        yield client


def test_admins_list_and_read_lines(client: Client, app: App) -> None:
    with app.app_context():
        first = create_audit_line()
        create_audit_line("8", "r8")
        commit()
    for query, count in (
        ("", 2),
        ("?record_id=7", 1),
        ("?record_id=9", 0),
        ("?request_id=r8", 1),
        ("?model=film", 2),
        ("?limit=1&count=exact", 1),
    ):
        page = client.get(f"/audit/{query}").json
        assert len(page["items"]) == count, query
    line: Any = client.get(f"/audit/{first.id}").json
    assert (line["record_id"], line["record"]) == ("7", {"title": "Seven"})


def test_lines_are_not_written_over_http(client: Client, app: App) -> None:
    with app.app_context():
        line = create_audit_line()
        commit()
    client.post("/audit/", json={}, expect=405)
    for method in (client.put, client.patch, client.delete):
        method(f"/audit/{line.id}", json={}, expect=405)
