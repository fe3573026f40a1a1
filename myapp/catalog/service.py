"""Queries of the catalog over all records."""

from typing import Any

from sqlalchemy import func, select

from myapp.catalog.models import Movie
from myapp.core.stores.sql import rows


def movie_stats() -> dict[str, Any]:
    """The number of films, their first and last year, and their number by decade.

    One query, which returns one row for each year.
    """
    counted = select(Movie.year, func.count()).group_by(Movie.year).order_by(Movie.year)
    by_year = [(year, films) for year, films in rows(counted)]
    decades: dict[str, int] = {}
    for year, films in by_year:
        decade = f"{year // 10 * 10}s"
        decades[decade] = decades.get(decade, 0) + films
    return {
        "films": sum(films for _, films in by_year),
        "first_year": by_year[0][0] if by_year else None,
        "last_year": by_year[-1][0] if by_year else None,
        "by_decade": decades,
    }
