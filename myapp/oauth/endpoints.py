"""The routes of clients, and of what users have allowed them."""

from typing import Any

from flask import Response, url_for

from myapp.accounts import door
from myapp.core.access import access, caller_id
from myapp.core.errors import Problem
from myapp.core.http import read_json
from myapp.core.rest import (
    ModelResource,
    check_id,
    describe,
    describe_list,
    feature_blueprint,
    respond,
    respond_list,
    respond_record,
    to_write,
)
from myapp.core.schema import JSON
from myapp.oauth.callers import add_bearers
from myapp.oauth.clients import add_client, renew_secret
from myapp.oauth.models import Client, Consent
from myapp.oauth.tokens import end_consent

DAY = 24 * 3600.0
SETTINGS: dict[str, Any] = {
    # Seconds that an access token is valid.
    "OAUTH_ACCESS_LIFETIME": 3600.0,
    # Seconds that a signed access token is valid, which nothing ends before.
    "OAUTH_SIGNED_LIFETIME": 300.0,
    # Seconds after which a user has to allow a client again.
    "OAUTH_CONSENT_LIFETIME": 90 * DAY,
    # Whether clients may use the grant by user name and password.
    "OAUTH_PASSWORDS": False,
}
# With this role a client calls for itself; the command line gives it another one.
ROLE = "readonly"
OWN = '(owner | role("admin")) & in_person'

blueprint, api = feature_blueprint("oauth", __name__, SETTINGS)
clients = api.namespace("clients", description="Programs that get tokens.")
consents = api.namespace("consents", description="What one has allowed programs.")
blueprint.record(lambda state: add_bearers(state.app, state.url_prefix or ""))

told_properties = {
    **Client.read_schema["properties"],
    "client_secret": {"type": "string"},
}
CLIENT_TOLD: JSON = {
    "$id": "/schemas/client.told.json",
    "title": "An OAuth client, with its secret",
    "type": "object",
    "properties": told_properties,
    "required": [*Client.read_schema["properties"]],
    "additionalProperties": False,
}
WRITE_ERRORS = (400, 404, 409, 412, 413, 415, 422)


def told(client: Any, secret: str, status: int) -> Response:
    """The response that tells a secret, if there is one; no cache keeps it."""
    more = {"client_secret": secret} if secret else {}
    response = respond(client.as_json() | more, status)
    response.headers["Cache-Control"] = "no-store"
    return response


@clients.route("/")
@access("signed_in & in_person")
class Clients(ModelResource):
    """The clients of the caller; admins see all."""

    model = Client
    kept_responses = None

    @access(OWN)
    @describe_list(Client)
    def get(self) -> Response:
        """List clients, newest first."""
        return respond_list(Client)

    @describe({201: CLIENT_TOLD}, body=Client.write_schema, errors=WRITE_ERRORS)
    def post(self) -> Response:
        """Make a client; its secret is told once."""
        body = read_json()
        Client.create_validator.check(body)
        if not door.is_user_id(caller_id()):
            raise Problem("forbidden", "A client belongs to a user.")
        client, secret = add_client(body, caller_id(), ROLE)
        response = told(client, secret, 201)
        response.headers["Location"] = url_for(".clients_one_client", id=client.id)
        return response


@clients.route("/<id>")
@access(OWN)
class OneClient(ModelResource):
    """A client."""

    model = Client
    kept_responses = None

    @describe({200: Client.read_schema}, errors=(400, 404))
    def get(self, id: str) -> Response:
        """Read a client, without its secret."""
        return respond_record(Client.get_or_404(check_id(id)))

    @describe({200: Client.read_schema}, body=Client.write_schema, errors=WRITE_ERRORS)
    def put(self, id: str) -> Response:
        """Replace the fields of a client; tokens that it has keep their scopes."""
        id, body = check_id(id), read_json()
        return respond_record(to_write(Client, id).replace(body))

    @describe({204: None}, errors=(400, 404, 409, 412))
    def delete(self, id: str) -> Response:
        """Delete a client; its tokens end."""
        to_write(Client, check_id(id)).delete()
        return respond(None, 204)


@clients.route("/<id>/secret")
@access(OWN)
class Secret(ModelResource):
    """The secret of a client."""

    model = Client
    kept_responses = None

    @describe({200: CLIENT_TOLD}, errors=(400, 404, 409, 412))
    def post(self, id: str) -> Response:
        """Give a client another secret, which is told once; the former one is of no use
        then."""
        client = to_write(Client, check_id(id))
        if not client["is_confidential"]:
            raise Problem("conflict", "A public client has no secret.")
        return told(client, renew_secret(client), 200)


@consents.route("/")
@access("owner & in_person")
class Consents(ModelResource):
    """What the caller has allowed clients."""

    model = Consent

    @describe_list(Consent)
    def get(self) -> Response:
        """List what one has allowed clients, newest first."""
        return respond_list(Consent)


@consents.route("/<id>")
@access("owner & in_person")
class OneConsent(ModelResource):
    """What the caller has allowed a client."""

    model = Consent
    kept_responses = None

    @describe({200: Consent.read_schema}, errors=(400, 404))
    def get(self, id: str) -> Response:
        """Read what one has allowed a client."""
        return respond_record(Consent.get_or_404(check_id(id)))

    @describe({204: None}, errors=(400, 404, 409, 412))
    def delete(self, id: str) -> Response:
        """Take back what one has allowed a client; its tokens end."""
        end_consent(to_write(Consent, check_id(id)).id)
        return respond(None, 204)
