"""Users of a server in another process, for the harnesses: made by its command line,
and signed in over HTTP."""

import json
import ssl
import subprocess
import sys
import urllib.request
from collections.abc import Mapping
from pathlib import Path

EMAIL, PASSWORD = "harness@mail.example", "seven swans on the water"
#: What a browser sends with a write of a page of the server itself.
SAME_ORIGIN = {"Sec-Fetch-Site": "same-origin"}


def make_user(
    tree: Path, environment: Mapping[str, str], role: str = "admin", python: str = ""
) -> None:
    """Make a user of an application, unless it is there.

    :param tree: the checkout that the application runs from.
    :param environment: in which it runs.
    :param python: that of its virtual environment; this one by default.
    """
    command = [python or sys.executable, "-m", "flask", "users", "create", EMAIL]
    told = subprocess.run(
        [*command, "--role", role],
        cwd=tree,
        env=dict(environment),
        input=f"{PASSWORD}\n",
        text=True,
        capture_output=True,
    )
    if told.returncode and "already" not in told.stderr:
        raise RuntimeError(told.stderr)


def sign_in(base: str, context: ssl.SSLContext | None = None) -> dict[str, str]:
    """The headers of a request with the session of the user.

    :param base: the URL of the server, without a slash at the end.
    """
    body = json.dumps({"email": EMAIL, "password": PASSWORD}).encode()
    sent = urllib.request.Request(
        f"{base}/accounts/session", body, {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(sent, timeout=60, context=context) as answer:
        cookies = answer.headers.get_all("Set-Cookie")
    pairs = [cookie.partition(";")[0] for cookie in cookies]
    return {"Cookie": "; ".join(pairs), **SAME_ORIGIN}
