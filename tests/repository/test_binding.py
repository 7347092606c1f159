"""Two places never share a context, so no key and no MAC of one fits the other."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from dbcustody.repository.binding import Place, fact_context, storage_key_context

ids = st.text(min_size=1, max_size=5)
places = st.builds(Place, storage_id=ids, custody_id=ids, backup_id=ids, attempt=ids)


@given(places, places, ids, ids)
def test_places_and_objects_are_kept_apart(one: Place, other: Place, name: str, other_name: str) -> None:
    """Contexts are equal exactly when everything in them is."""
    assert (one == other) is (one.context == other.context)
    same = one == other and name == other_name
    assert same is (one.object_context(name) == other.object_context(other_name))
    assert same is (one.data_key_context(name) == other.data_key_context(other_name))


def test_contexts_have_their_order() -> None:
    """The order is part of the format."""
    place = Place(storage_id="s", custody_id="c", backup_id="b", attempt="a")
    assert place.context == ("s", "c", "b", "a")
    assert place.object_context("o") == ("s", "c", "b", "a", "o")
    assert place.data_key_context("k") == ("s", "c", "b", "a", "k")
    assert storage_key_context("s", "k") == ("s", "k")
    assert fact_context("s", "c", "b") == ("s", "c", "b")
