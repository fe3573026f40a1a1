"""The kinds of problems: one entry each, and a type that knows them all."""

from typing import get_args

from myapp.core.errors.kinds import BY_STATUS, KINDS, Slug


def test_the_type_of_slugs_names_each_kind_once() -> None:
    assert list(get_args(Slug)) == list(KINDS)


def test_each_status_has_a_kind_of_its_own_status() -> None:
    assert {status: KINDS[slug].status for status, slug in BY_STATUS.items()} == {
        status: status for status in BY_STATUS
    }
