"""The seed pattern: flask-restx resources, an ORM model, jsonschema in the view."""

import os
from datetime import datetime, timezone
from decimal import Decimal

import jsonschema
from flask import Flask, request
from flask_restx import Api, Resource, abort
from flask_sqlalchemy import SQLAlchemy
from uuid_utils.compat import UUID, uuid7

GENRES = (
    "action adventure animation comedy crime documentary drama family fantasy "
    "history horror music mystery romance sci-fi thriller war western"
).split()
PATCH_SCHEMA = {
    "type": "object",
    "properties": {
        "title": {"type": "string", "minLength": 1, "maxLength": 200},
        "year": {"type": "integer", "minimum": 1888, "maximum": 2100},
        "director_id": {"type": ["string", "null"], "format": "uuid"},
        "runtime": {"type": ["integer", "null"], "minimum": 1, "maximum": 1000},
        "genres": {"type": "array", "items": {"type": "string", "enum": GENRES}},
        "synopsis": {"type": ["string", "null"], "maxLength": 2000},
        "price": {
            "type": ["string", "null"],
            "pattern": r"^(0|[1-9][0-9]{0,7})\.[0-9]{2}$",
        },
    },
    "additionalProperties": False,
}
POST_SCHEMA = {**PATCH_SCHEMA, "required": ["title", "year"]}

app = Flask(__name__)
app.config["SQLALCHEMY_DATABASE_URI"] = os.environ["DATABASE_URL"]
db = SQLAlchemy(app)
api = Api(app)
namespace = api.namespace("catalog/movies", path="/catalog/movies")


def utcnow():
    """Return the current time."""
    return datetime.now(timezone.utc)


def as_datetime(value):
    """Write a time as RFC 3339."""
    return value.astimezone(timezone.utc).isoformat().replace("+00:00", "Z")


class Movie(db.Model):
    """A movie."""

    __tablename__ = "catalog_movies"

    id = db.Column(db.Uuid, primary_key=True, default=uuid7)
    created_at = db.Column(db.DateTime(timezone=True), default=utcnow)
    updated_at = db.Column(db.DateTime(timezone=True), default=utcnow, onupdate=utcnow)
    version = db.Column(db.Integer, nullable=False, default=1)
    title = db.Column(db.String(200), nullable=False)
    year = db.Column(db.Integer, nullable=False)
    director_id = db.Column(db.Uuid)
    runtime = db.Column(db.Integer)
    genres = db.Column(db.JSON, nullable=False, default=list)
    synopsis = db.Column(db.String(2000))
    price = db.Column(db.Numeric(10, 2))

    def update(self, body):
        """Take the values of a checked JSON body."""
        for key, value in body.items():
            if key == "director_id" and value is not None:
                value = UUID(value)
            if key == "price" and value is not None:
                value = Decimal(value)
            setattr(self, key, value)

    def as_json(self):
        """Return what goes on the wire."""
        return {
            "id": str(self.id),
            "created_at": as_datetime(self.created_at),
            "updated_at": as_datetime(self.updated_at),
            "version": self.version,
            "title": self.title,
            "year": self.year,
            "director_id": None if self.director_id is None else str(self.director_id),
            "runtime": self.runtime,
            "genres": self.genres,
            "synopsis": self.synopsis,
            "price": None if self.price is None else str(self.price),
        }


def checked_body(schema):
    """Return the JSON body of the request or answer 422."""
    body = request.get_json()
    try:
        jsonschema.validate(body, schema)
    except jsonschema.ValidationError as error:
        abort(422, error.message)
    return body


@namespace.route("/")
class MovieList(Resource):
    """All movies."""

    def get(self):
        """Return a page of movies, newest first."""
        limit = min(request.args.get("limit", 20, int), 100)
        query = db.select(Movie).order_by(Movie.id.desc()).limit(limit + 1)
        if "cursor" in request.args:
            query = query.where(Movie.id < UUID(request.args["cursor"]))
        movies = db.session.scalars(query).all()
        items = [movie.as_json() for movie in movies[:limit]]
        return {"items": items, "next": items[-1]["id"] if movies[limit:] else None}

    def post(self):
        """Create a movie."""
        movie = Movie()
        movie.update(checked_body(POST_SCHEMA))
        db.session.add(movie)
        db.session.commit()
        return movie.as_json(), 201


@namespace.route("/<uuid:movie_id>")
class MovieItem(Resource):
    """One movie."""

    def get(self, movie_id):
        """Return one movie."""
        return db.get_or_404(Movie, movie_id).as_json()

    def patch(self, movie_id):
        """Change the fields of a movie that the body names."""
        body = checked_body(PATCH_SCHEMA)
        movie = db.get_or_404(Movie, movie_id)
        movie.update(body)
        movie.version += 1
        db.session.commit()
        return movie.as_json()
