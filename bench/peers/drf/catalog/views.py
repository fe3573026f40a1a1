"""The views."""

from rest_framework import viewsets
from rest_framework.pagination import CursorPagination
from rest_framework.response import Response

from catalog.models import Movie
from catalog.serializers import MovieSerializer


class NewestFirst(CursorPagination):
    """Pages of movies, newest first."""

    page_size = 20
    page_size_query_param = "limit"
    max_page_size = 100
    ordering = "-id"

    def get_paginated_response(self, data):
        """Return a page with the names that all servers share."""
        return Response({"items": data, "next": self.get_next_link()})


class MovieViewSet(viewsets.ModelViewSet):
    """All operations on movies."""

    queryset = Movie.objects.all()
    serializer_class = MovieSerializer
    pagination_class = NewestFirst

    def perform_update(self, serializer):
        """Count the versions."""
        serializer.save(version=serializer.instance.version + 1)
