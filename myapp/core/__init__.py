"""The framework that all features share: nine rooms, each a folder.

Read from the top, each room imports only those below it: ``docs`` (what the API says
of itself), ``rest`` (resources made from models), ``http`` (the edge of each request),
``stores`` (where records lie), ``model`` (the contract above every store), ``query``
(what may be asked of a list), ``schema`` (JSON in and out), ``errors`` (what can go
wrong) and ``access`` (who calls, and what they may do). The files beside them put the
rooms together. A feature imports a room, and not the modules in it.
"""
