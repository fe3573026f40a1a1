"""The routes."""

from catalog.views import MovieViewSet
from django.urls import path

urlpatterns = [
    path(
        "catalog/movies/",
        MovieViewSet.as_view({"get": "list", "post": "create"}),
    ),
    path(
        "catalog/movies/<uuid:pk>",
        MovieViewSet.as_view({"get": "retrieve", "patch": "partial_update"}),
    ),
]
