"""ETags: a new release that shows a record in another shape changes its ETag."""

from typing import Any

import pytest

from myapp.core.http.app import App
from myapp.core.model.declared import digest_of
from myapp.core.testing.planted import (
    NOTES,
    TICKETS,
    PlantedNote,
    PlantedTicket,
    plant,
)

BODY = {"text": "one"}


@pytest.mark.parametrize(
    ("url", "model"), [(NOTES, PlantedNote), (TICKETS, PlantedTicket)]
)
def test_a_reader_gets_the_new_shape_and_a_writer_is_not_refused(
    own_app: App, monkeypatch: pytest.MonkeyPatch, url: str, model: Any
) -> None:
    client: Any = plant(own_app).test_client()
    made = client.post(url, json=BODY)
    item, old = f"{url}{made.json['id']}", made.headers["ETag"]
    client.get(item, headers={"If-None-Match": old}, expect=304)
    monkeypatch.setattr(model, "shape", digest_of({"another": "schema"}))
    new = client.get(item, headers={"If-None-Match": old}, expect=200).headers["ETag"]
    assert new != old
    client.get(item, headers={"If-None-Match": new}, expect=304)
    # A release is two shapes at once; what both have read is the same record.
    for tag, version in ((old, 2), (f'"{2}"', 3)):
        patched = client.patch(item, json={"text": "two"}, headers={"If-Match": tag})
        assert patched.json["version"] == version
    client.patch(item, json=BODY, headers={"If-Match": new}, expect=412)
    unmatched = {"If-None-Match": '"3-00000000"'}
    client.patch(item, json=BODY, headers=unmatched, expect=412)


def test_the_shape_is_that_of_the_read_schema() -> None:
    assert PlantedTicket.shape == digest_of(PlantedTicket.read_schema)
    schema = PlantedTicket.read_schema
    assert digest_of(dict(reversed(schema.items()))) == PlantedTicket.shape
    assert digest_of({**schema, "required": []}) != PlantedTicket.shape
