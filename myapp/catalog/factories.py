"""Records for tests and for the demo."""

import json
from pathlib import Path
from typing import Any

from myapp.catalog.models import Director, Movie
from myapp.core.model import Record
from myapp.core.schema import JSON

DEMO = Path(__file__).with_name("demo.json")


def director_body(number: int = 0, **overrides: Any) -> JSON:
    """The body of a director; each number gives another one."""
    return {
        "name": f"Director {number}",
        "born": f"{1900 + number % 100}-06-06",
        "country": ("BE", "SN")[number % 2],
        **overrides,
    }


def movie_body(number: int = 0, **overrides: Any) -> JSON:
    """The body of a film; each number gives another one."""
    return {
        "title": f"Film {number}",
        "year": 1960 + number % 100,
        "director_id": create_director().id,
        "runtime": 59 + number % 100,
        "genres": (["drama"], [])[number % 2],
        "synopsis": ("Three days, and potatoes.", "")[number % 2],
        "price": f"{number % 100}.50",
        **overrides,
    }


def create_director(**overrides: Any) -> Record:
    """A stored director."""
    return Director.create({"name": "Agnès Varda", **overrides})


def create_movie(**overrides: Any) -> Record:
    """A stored film."""
    return Movie.create({"title": "Cléo from 5 to 7", "year": 1962, **overrides})


def load_demo() -> int:
    """Store the films of ``demo.json`` with their directors.

    :returns: the number of films.
    """
    demo = json.loads(DEMO.read_text(encoding="utf-8"))
    ids = {item["name"]: create_director(**item).id for item in demo["directors"]}
    for item in demo["movies"]:
        director = item.pop("director")
        create_movie(**item, director_id=ids[director])
    return len(demo["movies"])
