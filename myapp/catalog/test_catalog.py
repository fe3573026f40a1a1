"""The catalog over HTTP: the contract of both resources, and their own rules."""

from collections.abc import Iterator
from typing import Any

import pytest
import uuid_utils

from myapp.catalog.factories import director_body, load_demo, movie_body
from myapp.catalog.models import Director, Movie
from myapp.core.http import App
from myapp.core.testing import Client, ResourceContract, by, calling


class TestDirectors(ResourceContract):
    """Directors keep the contract."""

    url = "/catalog/directors/"
    model = Director
    body = director_body
    caller = "ed editor"


class TestMovies(ResourceContract):
    """Films keep the contract."""

    url = "/catalog/movies/"
    model = Movie
    body = movie_body
    caller = "ed editor"


@pytest.fixture
def client(app: App) -> Iterator[Any]:
    """A client of an editor."""
    with calling(app, "ed editor") as client:
        yield client


MOVIE = {"title": "Wanda", "year": 1970}


@pytest.fixture
def director(client: Client) -> Any:
    """A stored director."""
    return client.post("/catalog/directors/", json={"name": "Barbara Loden"}).json


def test_a_film_of_nobody_is_refused(client: Client) -> None:
    body = {**MOVIE, "director_id": str(uuid_utils.uuid7())}
    problem = client.post("/catalog/movies/", json=body, expect=422).json
    assert problem["errors"] == [
        {
            "pointer": "/director_id",
            "detail": "refers to nothing",
            "keyword": "reference",
        }
    ]
    assert client.get("/catalog/movies/").json["items"] == []


def test_a_film_is_not_moved_to_nobody(client: Client, director: Any) -> None:
    body = {**MOVIE, "director_id": director["id"]}
    movie = client.post("/catalog/movies/", json=body).json
    url = f"/catalog/movies/{movie['id']}"
    body["director_id"] = str(uuid_utils.uuid7())
    problem = client.put(url, json=body, expect=422).json
    assert problem["errors"][0]["pointer"] == "/director_id"
    assert client.get(url).json == movie


def test_a_director_with_films_stays(client: Client, director: Any) -> None:
    url = f"/catalog/directors/{director['id']}"
    body = {**MOVIE, "director_id": director["id"]}
    movie = client.post("/catalog/movies/", json=body).json
    problem = client.delete(url, expect=409).json
    assert problem["type"] == "/problems/conflict"
    client.delete(f"/catalog/movies/{movie['id']}")
    client.delete(url)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("year", 1887),
        ("year", 2101),
        ("year", 1970.5),
        ("year", "1970"),
        ("title", ""),
        ("title", "x" * 201),
        ("runtime", 0),
        ("genres", ["western", "western"]),
        ("genres", ["musical"]),
        ("price", "1.5"),
        ("price", "1.50\n"),
        ("price", "-1.50"),
        ("price", "01.50"),
        ("price", "١.50"),
        ("price", 1.5),
        ("director_id", "nobody"),
    ],
)
def test_a_film_out_of_bounds_is_refused(
    client: Client, field: str, value: Any
) -> None:
    body = {**MOVIE, field: value}
    errors = client.post("/catalog/movies/", json=body, expect=400).json["errors"]
    assert errors[0]["pointer"].startswith(f"/{field}")


@pytest.mark.parametrize("born", ["1950-02-30", "0000-01-01", "1950-6-6", "19500606"])
def test_a_day_that_never_was_is_refused(client: Client, born: str) -> None:
    body = {"name": "Nobody", "born": born}
    client.post("/catalog/directors/", json=body, expect=400)


@pytest.mark.parametrize("born", ["0001-01-01", "9999-12-31", "2024-02-29"])
def test_a_day_at_the_edge_is_kept(client: Client, born: str) -> None:
    body = {"name": "Somebody", "born": born}
    assert client.post("/catalog/directors/", json=body).json["born"] == born


def test_stats_of_nothing(client: Client) -> None:
    nothing = {"films": 0, "first_year": None, "last_year": None, "by_decade": {}}
    assert client.get("/catalog/movies/stats").json == nothing


def test_stats_count_by_decade(client: Client) -> None:
    for year in (1999, 1960, 1969, 1970):
        client.post("/catalog/movies/", json={"title": "A film", "year": year})
    assert client.get("/catalog/movies/stats").json == {
        "films": 4,
        "first_year": 1960,
        "last_year": 1999,
        "by_decade": {"1960s": 2, "1970s": 1, "1990s": 1},
    }


def test_the_demo_is_about_fifty_films(client: Client) -> None:
    with client.application.app_context():
        assert load_demo() >= 50
    movies = client.get("/catalog/movies/?limit=100").json["items"]
    directors = client.get("/catalog/directors/?limit=100").json["items"]
    ids = {director["id"] for director in directors}
    assert {movie["director_id"] for movie in movies} == ids


def test_all_read_films_and_editors_write_them(client: Client, app: App) -> None:
    movie = client.post("/catalog/movies/", json=MOVIE).json
    item, nobody, reader = f"/catalog/movies/{movie['id']}", {}, by("al", "readonly")
    for caller, status in ((nobody, 401), (reader, 403)):
        other = app.test_client()
        sent: Any = {"headers": caller, "expect": status}
        assert other.get(item, headers=caller).json == movie
        other.post("/catalog/movies/", json=MOVIE, **sent)
        other.post("/catalog/movies/batch", json={}, **sent)
        other.post("/catalog/movies/report", json={}, **sent)
        other.put(item, json=MOVIE, **sent)
        other.patch(item, json={}, **sent)
        other.delete(item, **sent)
        assert other.options(item, headers=caller).headers["Allow"] == (
            "GET, HEAD, OPTIONS"
        )
    assert client.get(item).json == movie
