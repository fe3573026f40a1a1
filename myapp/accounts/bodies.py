"""The bodies of the routes of accounts."""

from myapp.accounts.cookies import check_origin
from myapp.accounts.links import TOKEN
from myapp.accounts.models import EMAIL, NAME, ROLE, PersonalToken, User
from myapp.accounts.passwords import PASSWORD
from myapp.accounts.totp import CODE
from myapp.core.http import read_json
from myapp.core.schema import JSON, Validator


def body_schema(
    title: str, example: JSON, fields: JSON, optional: tuple[str, ...] = ()
) -> JSON:
    """The schema of a body.

    :param title: a word or two, which make its ``$id``, too.
    :param optional: the fields that may be left out.
    """
    return {
        "$id": f"/schemas/account.{title.replace(' ', '-')}.write.json",
        "title": title.capitalize(),
        "type": "object",
        "properties": fields,
        "required": [field for field in fields if field not in optional],
        "additionalProperties": False,
        "examples": [example],
    }


ADA, SECRET = "ada@mail.example", "four ducks on a pond"
SIGN_UP = body_schema(
    "sign up",
    {"email": ADA, "password": SECRET, "name": "Ada"},
    {"email": EMAIL, "password": PASSWORD, "name": NAME},
    ("name",),
)
SIGN_IN = body_schema(
    "sign in",
    {"email": ADA, "password": SECRET},
    {
        "email": EMAIL,
        "password": PASSWORD,
        "remember": {"type": "boolean"},
        "code": {**CODE, "description": "Of the second factor, where there is one."},
    },
    ("remember", "code"),
)
ADDRESS = body_schema("an address", {"email": ADA}, {"email": EMAIL})
PROOF = body_schema(
    "a token and a password",
    {"token": "x", "password": SECRET},
    {"token": TOKEN, "password": PASSWORD},
)
LINK = body_schema("a token", {"token": "x"}, {"token": TOKEN})
NEW_PASSWORD = body_schema(
    "a new password",
    {"old_password": SECRET, "new_password": "five geese in a field"},
    {"old_password": PASSWORD, "new_password": PASSWORD},
)
NEW_EMAIL = body_schema(
    "a new address",
    {"email": ADA, "password": SECRET},
    {"email": EMAIL, "password": PASSWORD},
)
ONLY_PASSWORD = body_schema("a password", {"password": SECRET}, {"password": PASSWORD})
ONLY_CODE = body_schema("a code", {"code": "123456"}, {"code": CODE})
FACTOR: JSON = {
    "$id": "/schemas/account.second-factor.json",
    "title": "What an authenticator app needs",
    "type": "object",
    "properties": {
        "secret": {"type": "string"},
        "uri": {"type": "string", "description": "The same, with the names, for apps."},
    },
    "required": ["secret", "uri"],
    "additionalProperties": False,
}
RECOVERY: JSON = {
    "$id": "/schemas/account.recovery-codes.json",
    "title": "Codes for a sign-in without the app, each for one",
    "type": "object",
    "properties": {"recovery_codes": {"type": "array", "items": {"type": "string"}}},
    "required": ["recovery_codes"],
    "additionalProperties": False,
}
ME = body_schema(
    "a name", {"name": "Ada"}, {"name": {**NAME, "type": ["string", "null"]}}
)
USER = body_schema("a role", {"role": "editor"}, {"role": ROLE})
SESSIONS: JSON = {
    "$id": "/schemas/account.sessions.json",
    "title": "The sessions of a user",
    "type": "object",
    "properties": {
        "items": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {
                    "id": {"type": "string"},
                    "created_at": {"type": "string", "format": "date-time"},
                    "address": {"type": "string"},
                    "agent": {"type": "string"},
                    "is_current": {"type": "boolean"},
                },
                "required": ["id", "created_at", "address", "agent", "is_current"],
                "additionalProperties": False,
            },
        }
    },
    "required": ["items"],
    "additionalProperties": False,
}
EXPORT: JSON = {
    "$id": "/schemas/account.export.json",
    "title": "All that is stored about an account",
    "type": "object",
    "properties": {
        "user": {"$ref": User.read_schema["$id"]},
        "sessions": {"$ref": SESSIONS["$id"]},
    },
    "required": ["user", "sessions"],
    # What other features store about the user, by their names.
    "additionalProperties": {"type": "array", "items": {"type": "object"}},
}
NEW_TOKEN = PersonalToken.write_schema
token_properties = {
    **PersonalToken.read_schema["properties"],
    "last_used_at": {"type": ["string", "null"], "format": "date-time"},
}
TOKENS: JSON = {
    "$id": "/schemas/token.list.json",
    "title": "Personal access tokens",
    "type": "object",
    "properties": {
        "items": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": token_properties,
                "required": [*token_properties],
                "additionalProperties": False,
            },
        }
    },
    "required": ["items"],
    "additionalProperties": False,
}
TOKEN_TOLD: JSON = {
    "$id": "/schemas/token.told.json",
    "title": "A personal access token, with its text",
    "type": "object",
    "properties": {**token_properties, "token": {"type": "string"}},
    "required": [*token_properties, "token"],
    "additionalProperties": False,
}
validators = {
    schema["$id"]: Validator(schema)
    for schema in (
        *(SIGN_UP, SIGN_IN, ADDRESS, PROOF, LINK, NEW_PASSWORD, NEW_EMAIL),
        *(ONLY_PASSWORD, ONLY_CODE, ME, USER, NEW_TOKEN),
    )
}


def read_body(schema: JSON) -> JSON:
    """The body of this request.

    :raises Problem: 400 as the schema says, 413 or 415; 403 for a page of another site.
    """
    check_origin(is_needed=False)
    body: JSON = read_json()
    validators[schema["$id"]].check(body)
    return body
