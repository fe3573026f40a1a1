"""FastAPI and SQLModel, as the SQLModel tutorial writes them."""

import os
from datetime import datetime, timezone
from decimal import Decimal
from typing import Annotated, Literal
from uuid import UUID

from fastapi import Depends, FastAPI, HTTPException, Query
from pydantic import StringConstraints
from sqlmodel import JSON, DateTime, Field, Session, SQLModel, create_engine, select
from uuid_utils.compat import uuid7

Genre = Literal[
    "action",
    "adventure",
    "animation",
    "comedy",
    "crime",
    "documentary",
    "drama",
    "family",
    "fantasy",
    "history",
    "horror",
    "music",
    "mystery",
    "romance",
    "sci-fi",
    "thriller",
    "war",
    "western",
]
Price = Annotated[str, StringConstraints(pattern=r"^(0|[1-9][0-9]{0,7})\.[0-9]{2}$")]


def utcnow() -> datetime:
    """Return the current time."""
    return datetime.now(timezone.utc)


class MovieBase(SQLModel):
    """What can be written, and is read back the same."""

    title: str = Field(min_length=1, max_length=200)
    year: int = Field(ge=1888, le=2100)
    director_id: UUID | None = None
    runtime: int | None = Field(default=None, ge=1, le=1000)
    genres: list[Genre] = Field(default_factory=list, sa_type=JSON)
    synopsis: str | None = Field(default=None, max_length=2000)


class Movie(MovieBase, table=True):
    """The table."""

    __tablename__ = "catalog_movies"

    id: UUID = Field(default_factory=uuid7, primary_key=True)
    created_at: datetime = Field(
        default_factory=utcnow, sa_type=DateTime(timezone=True)
    )
    updated_at: datetime = Field(
        default_factory=utcnow,
        sa_type=DateTime(timezone=True),
        sa_column_kwargs={"onupdate": utcnow},
    )
    version: int = 1
    price: Decimal | None = Field(default=None, max_digits=10, decimal_places=2)


class MovieCreate(MovieBase):
    """The body of a POST."""

    price: Price | None = None


class MovieUpdate(SQLModel):
    """The body of a PATCH."""

    title: str | None = Field(default=None, min_length=1, max_length=200)
    year: int | None = Field(default=None, ge=1888, le=2100)
    director_id: UUID | None = None
    runtime: int | None = Field(default=None, ge=1, le=1000)
    genres: list[Genre] | None = None
    synopsis: str | None = Field(default=None, max_length=2000)
    price: Price | None = None


class MoviePublic(MovieBase):
    """What goes on the wire."""

    id: UUID
    created_at: datetime
    updated_at: datetime
    version: int
    price: Decimal | None


class MoviePage(SQLModel):
    """A page of movies."""

    items: list[MoviePublic]
    next: UUID | None


engine = create_engine(os.environ["DATABASE_URL"])


def get_session():
    """Open a session for one request."""
    with Session(engine) as session:
        yield session


SessionDep = Annotated[Session, Depends(get_session)]

app = FastAPI()


@app.get("/catalog/movies/", response_model=MoviePage)
def read_movies(
    session: SessionDep,
    limit: Annotated[int, Query(ge=1, le=100)] = 20,
    cursor: UUID | None = None,
):
    """Return a page of movies, newest first."""
    query = select(Movie).order_by(Movie.id.desc()).limit(limit + 1)
    if cursor:
        query = query.where(Movie.id < cursor)
    movies = session.exec(query).all()
    items = movies[:limit]
    return {"items": items, "next": items[-1].id if movies[limit:] else None}


@app.post("/catalog/movies/", response_model=MoviePublic, status_code=201)
def create_movie(movie: MovieCreate, session: SessionDep):
    """Create a movie."""
    db_movie = Movie.model_validate(movie)
    session.add(db_movie)
    session.commit()
    session.refresh(db_movie)
    return db_movie


@app.get("/catalog/movies/{movie_id}", response_model=MoviePublic)
def read_movie(movie_id: UUID, session: SessionDep):
    """Return one movie."""
    movie = session.get(Movie, movie_id)
    if not movie:
        raise HTTPException(status_code=404, detail="Movie not found")
    return movie


@app.patch("/catalog/movies/{movie_id}", response_model=MoviePublic)
def update_movie(movie_id: UUID, movie: MovieUpdate, session: SessionDep):
    """Change the fields of a movie that the body names."""
    db_movie = session.get(Movie, movie_id)
    if not db_movie:
        raise HTTPException(status_code=404, detail="Movie not found")
    movie_data = movie.model_dump(exclude_unset=True)
    db_movie.sqlmodel_update(movie_data, update={"version": db_movie.version + 1})
    session.add(db_movie)
    session.commit()
    session.refresh(db_movie)
    return db_movie
