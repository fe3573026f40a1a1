"""The examples in docs/features.md, "Beyond the schema", run as they stand there."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
# Its table must not be in the metadata of the other tests, so it runs in a process.
PROGRAM = """
import sys
from myapp import create_app
from myapp.core.feature import Feature
from myapp.core.rest import feature_blueprint, routes_from_model
from myapp.core.stores.sql import sql
from myapp.core.testing import Client
from myapp.core.testing.callers import ToyAuthenticator, by
from myapp.core.wiring import mount
from example import Bill

database, redis = sys.argv[1:]
app = create_app({"SQLALCHEMY_DATABASE_URI": database, "REDIS_URL": redis})
app.test_client_class = Client
ToyAuthenticator().add_to(app)
blueprint, api = feature_blueprint("bills", "example")
routes_from_model(api.namespace("bills", path="/"), Bill)
mount(app, Feature("bills", "/bills", "public"), blueprint)
with app.app_context():
    sql.create_all()
client, alice = app.test_client(), by("alice")
body = {"number": "a-1", "issued": "2026-01-01", "due": "2026-01-31"}
made = client.post("/bills/", json=body, headers=alice).json
assert (made["number"], made["days"]) == ("A-1", 30) and "owner_id" not in made
assert client.get("/bills/", headers=alice).json["items"] == [made]
assert client.get("/bills/", headers=by("bob")).json["items"] == []
late = {**body, "due": "2025-12-31"}
problem = client.post("/bills/", json=late, headers=alice, expect=400).json
assert problem["errors"][0]["pointer"] == "/due"
client.post("/bills/", json=body, expect=403)
client.post("/bills/", json=body, headers=alice, expect=409)
"""


PAGES = """
import sys
from myapp import create_app
from myapp.core.feature import Feature
from myapp.core.stores.sql import sql
from myapp.core.testing import Client
from myapp.core.wiring import mount
from example import blueprint

database, redis = sys.argv[1:]
app = create_app({"SQLALCHEMY_DATABASE_URI": database, "REDIS_URL": redis})
app.test_client_class = Client
mount(app, Feature("sites", "/sites", "public"), blueprint)
with app.app_context():
    sql.create_all()
client = app.test_client()
site = client.post("/sites/", json={"name": "Home"}).json["id"]
url = f"/sites/{site}/pages/"
made = client.post(url, json={"id": "first-page", "title": "First"})
assert made.headers["Location"] == f"{url}first-page"
assert made.json["site_id"] == site and "deleted_at" not in made.json
client.post(url, json={"id": "first-page", "title": "Again"}, expect=409)
client.delete(f"{url}first-page")
client.get(f"{url}first-page", expect=404)
assert client.get(url).json["items"] == []
old = {"If-Match": '"1"'}
client.post(f"{url}first-page/restore", headers=old, expect=412)
key = {"Idempotency-Key": "key"}
sent = {"headers": key, "expect": 200}
back = client.post(f"{url}first-page/restore", **sent)
assert back.json["version"] == 3 and back.headers["ETag"].startswith('"3.')
assert client.get(url).json["items"] == [back.json]
again = client.post(f"{url}first-page/restore", **sent)
assert again.headers["Idempotent-Replayed"] == "true" and again.data == back.data
"""


@pytest.mark.parametrize(("number", "program"), [(0, PROGRAM), (1, PAGES)])
def test_the_examples_beyond_the_schema_run(
    redis_url: str, tmp_path: Path, number: int, program: str
) -> None:
    chapter = (
        (ROOT / "docs" / "features.md").read_text().partition("## Beyond the schema")[2]
    )
    examples = re.findall(r"```python\n(.*?)```", chapter, re.DOTALL)
    (tmp_path / "example.py").write_text(examples[number])
    outcome = subprocess.run(
        [sys.executable, "-c", program, f"sqlite:///{tmp_path}/example.db", redis_url],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{tmp_path}"},
        text=True,
        capture_output=True,
        timeout=120,
    )
    assert outcome.returncode == 0, outcome.stderr[-3000:]
