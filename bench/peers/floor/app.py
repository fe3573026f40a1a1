"""The floor: the least that Flask and SQLAlchemy Core can do for the same wire."""

import os
from datetime import datetime, timezone

import jsonschema_rs
import orjson
import sqlalchemy as sa
from flask import Flask, Response, request
from uuid_utils.compat import UUID, uuid7

GENRES = (
    "action adventure animation comedy crime documentary drama family fantasy "
    "history horror music mystery romance sci-fi thriller war western"
).split()
PROPERTIES = {
    "title": {"type": "string", "minLength": 1, "maxLength": 200},
    "year": {"type": "integer", "minimum": 1888, "maximum": 2100},
    "director_id": {"type": ["string", "null"], "format": "uuid"},
    "runtime": {"type": ["integer", "null"], "minimum": 1, "maximum": 1000},
    "genres": {"type": "array", "items": {"enum": GENRES}},
    "synopsis": {"type": ["string", "null"], "maxLength": 2000},
    "price": {
        "type": ["string", "null"],
        "pattern": r"^(0|[1-9][0-9]{0,7})\.[0-9]{2}$",
    },
}
PATCH_SCHEMA = {
    "type": "object",
    "properties": PROPERTIES,
    "additionalProperties": False,
}
POST_SCHEMA = {**PATCH_SCHEMA, "required": ["title", "year"]}
DEFAULTS = {
    "director_id": None,
    "runtime": None,
    "genres": [],
    "synopsis": None,
    "price": None,
}

post_is_valid = jsonschema_rs.validator_for(POST_SCHEMA, validate_formats=True).is_valid
patch_is_valid = jsonschema_rs.validator_for(
    PATCH_SCHEMA, validate_formats=True
).is_valid

movies = sa.Table(
    "catalog_movies",
    sa.MetaData(),
    sa.Column("id", sa.Uuid, primary_key=True),
    sa.Column("created_at", sa.DateTime(timezone=True)),
    sa.Column("updated_at", sa.DateTime(timezone=True)),
    sa.Column("version", sa.Integer),
    sa.Column("title", sa.String(200)),
    sa.Column("year", sa.Integer),
    sa.Column("director_id", sa.Uuid),
    sa.Column("runtime", sa.Integer),
    sa.Column("genres", sa.JSON),
    sa.Column("synopsis", sa.String(2000)),
    sa.Column("price", sa.Numeric(10, 2)),
)
FIELDS = tuple(str(name) for name in movies.c.keys())
MATCH = movies.c.id == sa.bindparam("movie_id")
GET = sa.select(movies).where(MATCH)
NEWEST = sa.select(movies).order_by(movies.c.id.desc()).limit(sa.bindparam("size"))
OLDER = NEWEST.where(movies.c.id < sa.bindparam("cursor"))
INSERT = sa.insert(movies)
UPDATE = (
    sa.update(movies)
    .where(MATCH)
    .values(version=movies.c.version + 1)
    .returning(*movies.c)
)

engine = sa.create_engine(
    os.environ["DATABASE_URL"],
    isolation_level="AUTOCOMMIT",
    json_serializer=lambda value: orjson.dumps(value).decode(),
    json_deserializer=orjson.loads,
)
app = Flask(__name__)


def reply(value, status=200):
    """Make a JSON response; only Decimal is unknown to orjson."""
    body = orjson.dumps(value, default=str, option=orjson.OPT_UTC_Z)
    return Response(body, status, mimetype="application/json")


def columns(body):
    """Turn a checked JSON body into column values."""
    if body.get("director_id"):
        body["director_id"] = UUID(body["director_id"])
    return body


@app.get("/catalog/movies/<uuid:movie_id>")
def get_movie(movie_id):
    """Return one movie."""
    with engine.connect() as connection:
        row = connection.execute(GET, {"movie_id": movie_id}).one_or_none()
    if row is None:
        return reply({"error": "not found"}, 404)
    return reply(dict(zip(FIELDS, row)))


@app.get("/catalog/movies/")
def list_movies():
    """Return a page of movies, newest first."""
    limit = min(request.args.get("limit", 20, int), 100)
    cursor = request.args.get("cursor", None, UUID)
    values = {"size": limit + 1, "cursor": cursor}
    with engine.connect() as connection:
        rows = connection.execute(OLDER if cursor else NEWEST, values).all()
    items = [dict(zip(FIELDS, row)) for row in rows[:limit]]
    return reply({"items": items, "next": items[-1]["id"] if rows[limit:] else None})


@app.post("/catalog/movies/")
def post_movie():
    """Create a movie."""
    body = orjson.loads(request.get_data())
    if not post_is_valid(body):
        return reply({"error": "invalid"}, 422)
    now = datetime.now(timezone.utc)
    record = {
        "id": uuid7(),
        "created_at": now,
        "updated_at": now,
        "version": 1,
        **DEFAULTS,
        **columns(body),
    }
    with engine.connect() as connection:
        connection.execute(INSERT, record)
    return reply(record, 201)


@app.patch("/catalog/movies/<uuid:movie_id>")
def patch_movie(movie_id):
    """Change the fields of a movie that the body names."""
    body = orjson.loads(request.get_data())
    if not patch_is_valid(body):
        return reply({"error": "invalid"}, 422)
    values = {**columns(body), "updated_at": datetime.now(timezone.utc)}
    with engine.connect() as connection:
        row = connection.execute(UPDATE, {"movie_id": movie_id, **values}).one_or_none()
    if row is None:
        return reply({"error": "not found"}, 404)
    return reply(dict(zip(FIELDS, row)))
