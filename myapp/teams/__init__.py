"""Teams of users: who makes one leads it, leaders say who belongs to it, and its
members read it."""

from myapp.teams.endpoints import blueprint

__all__ = ["blueprint"]
