"""Names: the same wish leads to the same object, and every name is one that Kubernetes takes."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dbcustody.naming import (
    MAX_NAME_LENGTH,
    MAX_SCHEDULED_NAME_LENGTH,
    child_name,
    default_custody_id,
    is_dns_label,
    label_value,
    named,
)

OWNERS = st.from_regex(r"\A[a-z0-9]([-a-z0-9.]{0,250}[a-z0-9])?\Z")
LABEL_VALUE = re.compile(r"(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?")


@given(OWNERS, st.lists(st.text(max_size=10)), st.sampled_from([MAX_NAME_LENGTH, MAX_SCHEDULED_NAME_LENGTH]))
def test_every_child_name_is_a_dns_label(owner: str, work: list[str], limit: int) -> None:
    """Whatever the owner is called, the child's name fits, and asking again gives the same one."""
    name = child_name(owner, *work, limit=limit)
    assert is_dns_label(name)
    assert len(name) <= limit
    assert name == child_name(owner, *work, limit=limit)
    assert name.startswith(owner[:10].replace(".", "-").rstrip("-"))


@given(OWNERS, st.lists(st.text(max_size=5)), st.lists(st.text(max_size=5)))
def test_other_work_has_another_name(owner: str, one: list[str], other: list[str]) -> None:
    """Neither another word nor the same letters cut differently give the name of something else."""
    assert (child_name(owner, *one) == child_name(owner, *other)) == (
        "\x00".join([owner, *one]) == "\x00".join([owner, *other])
    )


@pytest.mark.parametrize(
    ("left", "right"),
    [
        pytest.param(("a", "bc"), ("ab", "c"), id="cut elsewhere"),
        pytest.param(("u-1", "backup", "1"), ("u-1", "backup", "2"), id="next ordinal"),
        pytest.param(("u-1", "backup", "1"), ("u-2", "backup", "1"), id="created again"),
    ],
)
def test_words_do_not_run_together(left: tuple[str, ...], right: tuple[str, ...]) -> None:
    """What makes a child a different one always changes its name."""
    assert child_name("shop", *left) != child_name("shop", *right)


def test_names_do_not_change_with_versions() -> None:
    """A newer operator finds the children of an older one: this name is for ever."""
    assert child_name("shop.nightly", "u-1", "backup", "1") == "shop-nightly-9f6d1a20a2"


@pytest.mark.parametrize(
    ("name", "fits"),
    [
        pytest.param("a", True, id="one letter"),
        pytest.param("a" * 63, True, id="longest"),
        pytest.param("a" * 64, False, id="too long"),
        pytest.param("", False, id="empty"),
        pytest.param("a.b", False, id="dot"),
        pytest.param("-a", False, id="dash in front"),
        pytest.param("a-", False, id="dash behind"),
        pytest.param("A", False, id="upper case"),
        pytest.param("a\n", False, id="new line behind"),
    ],
)
def test_dns_labels_are_known(name: str, fits: bool) -> None:  # noqa: FBT001 - the table's answer
    """RFC 1123, and nothing that only looks like it."""
    assert is_dns_label(name) is fits


@given(OWNERS)
def test_every_name_has_a_label_value(name: str) -> None:
    """A name that is longer than a label may be is cut, and stays its own."""
    value = label_value(name)
    assert len(value) <= MAX_NAME_LENGTH
    assert LABEL_VALUE.fullmatch(value)
    assert (value == name) == (len(name) <= MAX_NAME_LENGTH)


def test_the_custody_is_named_after_the_place() -> None:
    """A namespace has no dot in its name, so that no two Databases share one."""
    assert default_custody_id("web", "shop") == "web.shop"


@pytest.mark.parametrize(
    ("names", "told"),
    [
        pytest.param([], "", id="none"),
        pytest.param(["a"], "a", id="one"),
        pytest.param(["a", "b"], "a, b", id="as-many-as-there-is-room-for"),
        pytest.param(["a", "b", "c", "d"], "a, b and 2 more", id="too-many"),
    ],
)
def test_many_names_are_told_in_few_words(names: list[str], told: str) -> None:
    """A message has room for some; of the others it says how many they are."""
    assert named(names, 2) == told


def test_what_is_told_may_be_worded() -> None:
    """Lists of things that hold commas are separated otherwise, and the rest may have a name."""
    assert named(["a, b", "c", "d"], 2, separator="; ", rest="more keys") == "a, b; c and 1 more keys"
