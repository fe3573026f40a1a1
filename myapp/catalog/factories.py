"""Records for tests and for the demo."""

import json
from pathlib import Path
from typing import Any

from myapp.catalog.models import Director, Movie
from myapp.core.model import Record

DEMO = Path(__file__).with_name("demo.json")


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
