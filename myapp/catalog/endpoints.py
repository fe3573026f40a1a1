"""The routes of the catalog."""

from typing import Any

from myapp.catalog.models import Director, Movie
from myapp.catalog.service import movie_stats
from myapp.core.rest import Resource, describe, feature_blueprint, routes_from_model

blueprint, api = feature_blueprint("catalog", __name__)
movies = api.namespace("movies", description="Films.")
directors = api.namespace("directors", description="People who direct films.")

routes_from_model(movies, Movie)
routes_from_model(directors, Director)

STATS_SCHEMA = {
    "$id": "/schemas/movie.stats.json",
    "title": "What the catalog holds",
    "type": "object",
    "properties": {
        "films": {"type": "integer"},
        "first_year": {"type": ["integer", "null"]},
        "last_year": {"type": ["integer", "null"]},
        "by_decade": {"type": "object", "additionalProperties": {"type": "integer"}},
    },
    "required": ["films", "first_year", "last_year", "by_decade"],
    "additionalProperties": False,
}


@movies.route("/stats")
class MovieStats(Resource):
    """Figures on all films."""

    @describe({200: STATS_SCHEMA})
    def get(self) -> dict[str, Any]:
        """Count films, in all and by decade."""
        return movie_stats()
