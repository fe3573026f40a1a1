"""The routes of one's own personal access tokens."""

from typing import Any

from flask import Response

from myapp.accounts.bodies import NEW_TOKEN, TOKEN_TOLD, TOKENS, read_body
from myapp.accounts.endpoints import REFUSALS, accounts
from myapp.accounts.endpoints_me import my_id
from myapp.accounts.service import user_of
from myapp.accounts.sign_out import hold
from myapp.accounts.tokens import add_token, drop_token, tokens_of
from myapp.core.access import access
from myapp.core.rest import Resource, check_id, describe, respond


@accounts.route("/me/tokens")
@access("in_person")
class MyTokens(Resource):
    """One's own personal access tokens."""

    @describe({200: TOKENS}, errors=(404,))
    def get(self) -> dict[str, Any]:
        """List one's own tokens, with their last uses, and without their texts."""
        return {"items": tokens_of(my_id())}

    @describe({201: TOKEN_TOLD}, body=NEW_TOKEN, errors=(404, 409, *REFUSALS))
    def post(self) -> Response:
        """Make a token; its text is told once."""
        user = user_of(my_id())
        hold(user)
        response = respond(add_token(user.id, read_body(NEW_TOKEN)), 201)
        response.headers["Cache-Control"] = "no-store"
        return response


@accounts.route("/me/tokens/<id>")
@access("in_person")
class MyToken(Resource):
    """A personal access token of one's own."""

    @describe({204: None}, errors=(400, 403, 404))
    def delete(self, id: str) -> Response:
        """End a token of one's own."""
        drop_token(my_id(), check_id(id))
        return respond(None, 204)
