"""The tables of the catalog, with their schemas."""

from datetime import date
from decimal import Decimal
from typing import Any

from sqlalchemy import JSON, Date, ForeignKey
from sqlalchemy.orm import Mapped, mapped_column

from myapp.core.model import Relation
from myapp.core.stores.sql import ExactDecimal, Id, SqlModel, Varchar

GENRES = (
    "action adventure animation comedy crime documentary drama family fantasy history "
    "horror music mystery romance sci-fi thriller war western"
).split()


class Director(SqlModel):
    """A person who directs films."""

    __tablename__ = "catalog_directors"
    filterable = ("name", "born", "country")
    sortable = ("name", "born")
    searchable = ("name",)

    write_schema = {
        "$id": "/schemas/director.write.json",
        "title": "A director, as written",
        "type": "object",
        "properties": {
            "name": {"type": "string", "minLength": 1, "maxLength": 200},
            "born": {"type": "string", "format": "date"},
            "country": {
                "type": "string",
                "pattern": "^[A-Z]{2}$",
                "maxLength": 2,
                "description": "Where they were born, ISO 3166-1 alpha-2.",
            },
        },
        "required": ["name"],
        "additionalProperties": False,
        "examples": [{"name": "Agnès Varda", "born": "1928-05-30", "country": "BE"}],
    }

    name: Mapped[str] = mapped_column(Varchar(200))
    born: Mapped[date | None] = mapped_column(Date)
    country: Mapped[str | None] = mapped_column(Varchar(2))


class Movie(SqlModel):
    """A film."""

    __tablename__ = "catalog_movies"
    audited = True
    filterable = ("title", "year", "director_id", "runtime", "price")
    sortable = ("title", "year", "runtime", "price")
    searchable = ("title", "synopsis")
    relations = {"director": Relation("director_id", Director)}

    write_schema = {
        "$id": "/schemas/movie.write.json",
        "title": "A film, as written",
        "type": "object",
        "properties": {
            "title": {"type": "string", "minLength": 1, "maxLength": 200},
            "year": {"type": "integer", "minimum": 1888, "maximum": 2100},
            "director_id": {"type": "string", "format": "uuid"},
            "runtime": {
                "type": "integer",
                "minimum": 1,
                "maximum": 6000,
                "description": "In minutes.",
            },
            "genres": {
                "type": "array",
                "items": {"type": "string", "enum": GENRES},
                "uniqueItems": True,
                "maxItems": len(GENRES),
                "default": [],
            },
            "synopsis": {"type": "string", "maxLength": 2000},
            "price": {
                "type": "string",
                "format": "decimal",
                "pattern": r"^(0|[1-9]\d{0,7})\.\d\d$",
                "examples": ["9.99"],
            },
        },
        "required": ["title", "year"],
        "additionalProperties": False,
        "examples": [
            {
                "title": "Cléo from 5 to 7",
                "year": 1962,
                "runtime": 90,
                "genres": ["drama"],
                "price": "9.99",
            }
        ],
    }

    title: Mapped[str] = mapped_column(Varchar(200))
    year: Mapped[int]
    director_id: Mapped[str | None] = mapped_column(
        Id, ForeignKey("catalog_directors.id")
    )
    runtime: Mapped[int | None]
    genres: Mapped[list[Any]] = mapped_column(JSON)
    synopsis: Mapped[str | None] = mapped_column(Varchar(2000))
    price: Mapped[Decimal | None] = mapped_column(ExactDecimal(10, 2))
