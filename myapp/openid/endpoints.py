"""The routes of OpenID: the providers, the end of a sign-in, and linked identities."""

from typing import Any

from flask import Response, url_for

from myapp.accounts import door
from myapp.core.access import access, public
from myapp.core.errors import Problem
from myapp.core.http import read_json
from myapp.core.rest import (
    ModelResource,
    Resource,
    check_id,
    describe,
    describe_list,
    feature_blueprint,
    respond,
    respond_list,
    respond_record,
    to_write,
)
from myapp.core.schema import JSON, Validator
from myapp.openid.identities import Refusal
from myapp.openid.models import LinkedIdentity
from myapp.openid.providers import add_providers, providers
from myapp.openid.sign_in import STEPS, confirm

PROVIDERS_OF_OPENID: dict[str, dict[str, str]] = {}
SETTINGS: dict[str, Any] = {
    # The servers with which users may sign in, such as {"google": {"client_id": "...",
    # "client_secret": "..."}}; one that is not google or github has an issuer, too.
    "OPENID_PROVIDERS": PROVIDERS_OF_OPENID,
    # Seconds that one request waits for such a server.
    "OPENID_TIMEOUT": 5.0,
}
OWN = "owner & in_person"

blueprint, api = feature_blueprint("openid", __name__, SETTINGS)
signing_in = api.namespace("openid", path="/", description="Sign in with others.")
identities = api.namespace("identities", description="What one may sign in with.")
blueprint.record(lambda state: add_providers(state.app))

PROVIDERS: JSON = {
    "$id": "/schemas/openid.providers.json",
    "title": "The servers with which users may sign in",
    "type": "object",
    "properties": {
        "items": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {
                    "name": {"type": "string"},
                    "title": {"type": "string"},
                    "url": {
                        "type": "string",
                        "format": "uri-reference",
                        "description": "Where a browser begins the sign-in.",
                    },
                },
                "required": ["name", "title", "url"],
                "additionalProperties": False,
            },
        }
    },
    "required": ["items"],
    "additionalProperties": False,
}
CONFIRMATION: JSON = {
    "$id": "/schemas/openid.confirmation.write.json",
    "title": "A confirmation",
    "type": "object",
    "properties": {
        "step": {
            "type": "string",
            "enum": list(STEPS),
            "description": "What the page has shown: enter signs in with a linked "
            "identity; link and prove link it to the account that is signed in, or has "
            "its address; make makes an account.",
        },
        "password": {"type": "string", "maxLength": 1000},
        "code": {"type": "string", "minLength": 6, "maxLength": 20},
    },
    "required": ["step"],
    "additionalProperties": False,
    "examples": [{"step": "make"}],
}
confirmations = Validator(CONFIRMATION)


@signing_in.route("/providers")
class Providers(Resource):
    """The servers with which users may sign in."""

    @public
    @describe({200: PROVIDERS})
    def get(self) -> Response:
        """List the servers with which users may sign in."""
        items = [
            {
                "name": one.name,
                "title": one.title,
                "url": url_for("openid.begin_sign_in", name=one.name),
            }
            for one in providers().values()
        ]
        return respond({"items": items})


@signing_in.route("/confirmation")
class Confirmation(Resource):
    """The end of a sign-in whose user has come back."""

    @public
    @describe(
        {204: None}, body=CONFIRMATION, errors=(400, 401, 403, 409, 413, 415, 422, 429)
    )
    def post(self) -> Response:
        """End a sign-in as its user has decided; the cookie is the session."""
        door.check_origin(is_needed=True)
        body = read_json()
        confirmations.check(body)
        try:
            user = confirm(body["step"], body.get("password"), body.get("code"))
        except Refusal as error:
            slug: Any = "forbidden" if error.status == 403 else "conflict"
            raise Problem(slug, error.told) from error
        response = respond(None, 204)
        if body["step"] != "link":
            door.begin_session(response, user)
        return response


@identities.route("/")
@access(OWN)
class Identities(ModelResource):
    """The linked identities of the caller."""

    model = LinkedIdentity

    @describe_list(LinkedIdentity)
    def get(self) -> Response:
        """List the identities with which one may sign in, newest first."""
        return respond_list(LinkedIdentity)


@identities.route("/<id>")
@access(OWN)
class OneIdentity(ModelResource):
    """A linked identity of the caller."""

    model = LinkedIdentity
    kept_responses = None

    @describe({200: LinkedIdentity.read_schema}, errors=(400, 404))
    def get(self, id: str) -> Response:
        """Read a linked identity."""
        return respond_record(LinkedIdentity.get_or_404(check_id(id)))

    @describe({204: None}, errors=(400, 404, 409, 412))
    def delete(self, id: str) -> Response:
        """Unlink an identity: one cannot sign in with it any more."""
        to_write(LinkedIdentity, check_id(id)).delete()
        return respond(None, 204)
