"""The report and the digest of the catalog, over HTTP and by mail."""

import io
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import update

from myapp.catalog import jobs
from myapp.catalog.factories import create_movie, load_demo
from myapp.catalog.models import Movie
from myapp.core.http import App
from myapp.core.mail import kept_mails
from myapp.core.stores import commit
from myapp.core.stores.sql import write
from myapp.core.testing import Client, calling, run_jobs

URL = "/catalog/movies/report"


@pytest.fixture
def client(app: App) -> Iterator[Any]:
    """A client of an editor."""
    with calling(app, "ed editor") as client:
        yield client


def mails(app: App) -> list[dict[str, str]]:
    """The mails that were sent."""
    with app.app_context():
        return kept_mails()


def test_a_report_is_followed_to_its_result(client: Client, app: App) -> None:
    with app.app_context():
        count = load_demo()
        commit()
    response = client.post(URL, json={}, expect=202)
    place = response.headers["Location"]
    assert client.get(place).json["state"] == "queued"
    run_jobs(app)
    done = client.get(place).json
    assert done["state"] == "succeeded"
    assert done["progress"] == {"share": 1.0, "message": f"{count} films"}
    result = done["result"]
    films = [dict(one) for one in all_films(client)]
    assert result["films"] == len(films) == count
    assert result["minutes"] == sum(one["runtime"] or 0 for one in films)
    assert result["by_genre"]["drama"] == sum("drama" in one["genres"] for one in films)
    assert mails(app) == []


def all_films(client: Client) -> list[Any]:
    """Each film."""
    items: list[Any] = client.get("/catalog/movies/?limit=100").json["items"]
    return items


def test_a_report_is_mailed_where_an_address_is_given(client: Client, app: App) -> None:
    with app.app_context():
        create_movie(genres=["drama"], runtime=90)
        commit()
    client.post(URL, json={"mail_to": "ada@mail.example"}, expect=202)
    run_jobs(app)
    run_jobs(app)
    (mail,) = mails(app)
    assert mail["to"] == "ada@mail.example"
    assert mail["subject"] == "Films in the catalog: 1"
    assert "drama: 1" in mail["text"] and "90 minutes" in mail["text"]
    assert "<td>1</td>" in mail["html"]


def test_a_report_of_nothing_needs_no_body(client: Client, app: App) -> None:
    place = client.post(URL, expect=202).headers["Location"]
    run_jobs(app)
    result = client.get(place).json["result"]
    assert (result["films"], result["by_genre"]) == (0, {})


def test_a_report_reads_a_body_in_chunks(client: Client, app: App) -> None:
    chunks = {"wsgi.input_terminated": True, "HTTP_TRANSFER_ENCODING": "chunked"}
    for text, status in (('{"mail_to": 7}', 400), ("{", 400), ("", 202)):
        sent: Any = {"input_stream": io.BytesIO(text.encode()), "expect": status}
        kind = "application/json"
        client.post(URL, content_type=kind, environ_overrides=chunks, **sent)


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"mail_to": "ada"}, 400),
        ({"mail_to": 7}, 400),
        ({"to": "ada@mail.example"}, 400),
        ({"mail_to": "ada@mail.example\r\nBcc: eve@mail.example"}, 422),
        ({"mail_to": "ada@nowhere"}, 422),
    ],
)
def test_a_report_for_no_address_is_refused(
    client: Client, app: App, body: Any, status: int
) -> None:
    client.post(URL, json=body, expect=status)
    run_jobs(app)
    assert mails(app) == []


def test_a_report_that_is_asked_for_again_is_one(client: Client, app: App) -> None:
    sent: Any = {"json": {}, "headers": {"Idempotency-Key": "one"}, "expect": 202}
    assert client.post(URL, **sent).json == client.post(URL, **sent).json


def test_the_digest_has_the_films_of_yesterday(
    client: Client, app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    to = ["ada@mail.example", "nobody", "bob@mail.example"]
    now = datetime.now(UTC)

    with app.app_context():
        for title, days in (("Old", 9), ("Changed", 9), ("New", 1), ("Today", 0)):
            id = create_movie(title=title).id
            moment = now - timedelta(days=days)
            times = {"created_at": moment, "updated_at": moment}
            if title == "Changed":
                times["updated_at"] = now - timedelta(days=1)
            write(update(Movie).where(Movie.id == id).values(times))
        # Nobody is to get it.
        assert jobs.digest() == 0
        monkeypatch.setitem(app.config, "CATALOG_DIGEST_TO", to)
        assert jobs.digest() == 2
        commit()
    run_jobs(app)
    assert sorted(mail["to"] for mail in mails(app)) == [to[0], to[2]]
    text = mails(app)[0]["text"]
    assert text.splitlines()[1:] == ["  Changed (1962)", "  New (1962), new"]


def test_no_digest_is_sent_about_nothing(
    client: Client, app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(app.config, "CATALOG_DIGEST_TO", ["ada@mail.example"])
    with app.app_context():
        assert jobs.digest() == 0
    run_jobs(app)
    assert mails(app) == []
