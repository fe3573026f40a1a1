"""Who may call, in the Swagger 2.0 document of a feature."""

from typing import Any
from urllib.parse import urljoin

from flask import Flask, request
from flask_restx.swagger import extract_path

from myapp.core.access.caller import authenticators_of
from myapp.core.http.access import access_table, known_scopes
from myapp.core.schema.strict_json import JSON

# The flows of OAuth 2.0, as OpenAPI 3 and Swagger 2.0 call them.
FLOWS = {"authorizationCode": "accessCode", "clientCredentials": "application"}


def with_security(app: Flask, feature: str, document: JSON) -> JSON:
    """A Swagger 2.0 document that tells how callers say who they are, and what each
    operation asks of a token.

    :param feature: the name of its blueprint.
    """
    schemes = definitions(app)
    if not schemes:
        return document
    base, table = document["basePath"], access_table(app)
    paths = {path: {**operations} for path, operations in document["paths"].items()}
    for rule in app.url_map.iter_rules():
        path = extract_path(rule.rule).removeprefix(base.rstrip("/"))
        for method in rule.methods or ():
            known = paths.get(path, {}).get(method.lower())
            who = table.get((rule.endpoint, method))
            if not known or not who or not rule.endpoint.startswith(f"{feature}."):
                continue
            asked = [] if who.is_public else [*schemes]
            scopes = [who.scope] if who.scope else []
            needed = [
                {name: scopes if schemes[name]["type"] == "oauth2" else []}
                for name in asked
            ]
            paths[path][method.lower()] = {**known, "security": needed}
    return {**document, "paths": paths, "securityDefinitions": schemes}


def definitions(app: Flask) -> dict[str, Any]:
    """The Security Scheme Objects of Swagger 2.0. It has no word for a cookie, which
    browsers send by themselves."""
    found: dict[str, Any] = {}
    for one in authenticators_of(app):
        if one.scheme.get("scheme") == "bearer":
            about = "Bearer, a space, and the token."
            header = {"in": "header", "name": "Authorization", "description": about}
            found[one.name] = {"type": "apiKey", **header}
        for flow, old in FLOWS.items():
            if flow in one.scheme.get("flows", {}):
                found[f"{one.name} {old}"] = {
                    "type": "oauth2",
                    "flow": old,
                    "scopes": known_scopes(app),
                    # Swagger 2.0 takes no paths here.
                    **{
                        name: urljoin(request.url_root, place)
                        for name, place in one.scheme["flows"][flow].items()
                        if name.endswith("Url")
                    },
                }
    return found
