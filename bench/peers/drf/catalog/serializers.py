"""The serializers."""

from rest_framework import serializers

from catalog.models import Director, Movie

GENRES = (
    "action adventure animation comedy crime documentary drama family fantasy "
    "history horror music mystery romance sci-fi thriller war western"
).split()


class MovieSerializer(serializers.ModelSerializer):
    """A movie on the wire."""

    director_id = serializers.PrimaryKeyRelatedField(
        source="director",
        queryset=Director.objects.all(),
        pk_field=serializers.UUIDField(),
        allow_null=True,
        required=False,
    )
    genres = serializers.ListField(
        child=serializers.ChoiceField(GENRES), required=False
    )

    class Meta:
        """The fields, in the order of the table."""

        model = Movie
        fields = [
            "id",
            "created_at",
            "updated_at",
            "version",
            "title",
            "year",
            "director_id",
            "runtime",
            "genres",
            "synopsis",
            "price",
        ]
