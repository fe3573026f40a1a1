"""Queries of the catalog over all records."""

from collections import Counter
from collections.abc import Callable
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import func, select

from myapp.catalog.models import Movie
from myapp.core.stores.sql import rows

# The id before all others (RFC 9562 section 5.9).
NIL = str(UUID(int=0))
# How many films one statement of a report reads.
AT_ONCE = 500
# How many films a digest names at most.
MOST_IN_DIGEST = 1000


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


def movie_report(tell: Callable[[float, str], None]) -> dict[str, Any]:
    """:func:`movie_stats` with the minutes of all films, and their number by genre.

    :param tell: called with the share that is done, and what is done.
    """
    found = movie_stats()
    genres: Counter[str] = Counter()
    minutes = seen = 0
    after = NIL
    columns = select(Movie.id, Movie.runtime, Movie.genres).order_by(Movie.id)
    while read := rows(columns.where(Movie.id > after).limit(AT_ONCE)):
        minutes += sum(runtime or 0 for _, runtime, _ in read)
        for _, _, named in read:
            genres.update(named)
        seen, after = seen + len(read), read[-1][0]
        tell(seen / max(seen, found["films"]), f"{seen} films")
    by_genre = dict(sorted(genres.items()))
    return {**found, "minutes": minutes, "by_genre": by_genre}


def changed_movies(begin: datetime, end: datetime) -> list[dict[str, Any]]:
    """The films that were last written in a span of time, by their titles.

    :param end: not in the span.
    """
    changed = select(Movie.title, Movie.year, Movie.created_at >= begin)
    changed = changed.where(Movie.updated_at >= begin, Movie.updated_at < end)
    found = rows(changed.order_by(Movie.title, Movie.id).limit(MOST_IN_DIGEST))
    return [
        {"title": title, "year": year, "is_new": bool(is_new)}
        for title, year, is_new in found
    ]
