"""The tables, which exist already."""

from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from uuid_utils.compat import uuid7


class PlainJSONField(models.JSONField):
    """A field for a column of type json, which psycopg itself decodes."""

    def db_type(self, connection):
        """Return the type of the column."""
        return "json"

    def from_db_value(self, value, expression, connection):
        """Return the value that psycopg decoded."""
        return value


class Director(models.Model):
    """A director."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)
    version = models.IntegerField(default=1, editable=False)
    name = models.CharField(max_length=200)
    born = models.DateField(null=True, blank=True)
    country = models.CharField(max_length=2, null=True, blank=True)

    class Meta:
        """The table belongs to someone else."""

        managed = False
        db_table = "catalog_directors"


class Movie(models.Model):
    """A movie."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)
    version = models.IntegerField(default=1, editable=False)
    title = models.CharField(max_length=200)
    year = models.IntegerField(
        validators=[MinValueValidator(1888), MaxValueValidator(2100)]
    )
    director = models.ForeignKey(Director, models.DO_NOTHING, null=True, blank=True)
    runtime = models.IntegerField(
        null=True,
        blank=True,
        validators=[MinValueValidator(1), MaxValueValidator(1000)],
    )
    genres = PlainJSONField(default=list, blank=True)
    synopsis = models.CharField(max_length=2000, null=True, blank=True)
    price = models.DecimalField(
        max_digits=10,
        decimal_places=2,
        null=True,
        blank=True,
        validators=[MinValueValidator(0)],
    )

    class Meta:
        """The table belongs to someone else."""

        managed = False
        db_table = "catalog_movies"
