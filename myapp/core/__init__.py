"""The framework that all features share: nine rooms, each a folder.

In this order, each room imports only the rooms after it: ``docs`` (the documentation of
the API), ``rest`` (resources made from models), ``http`` (requests and responses),
``stores`` (databases), ``model`` (the contract of every model), ``query`` (the list
query), ``schema`` (JSON input and output), ``errors`` (problems) and ``access``
(callers and permissions). The files next to the rooms put them together. A feature
imports a room, and not the modules in it.
"""

#: The version of the framework, Semantic Versioning; a release is the tag v<version>.
__version__ = "0.1.0"
