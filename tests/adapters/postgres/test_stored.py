"""What PostgreSQL stores as text about a database, its ACL and its settings, taken apart."""

from __future__ import annotations

import pytest

from dbcustody.adapters.postgres.grant import Grant, read_grants
from dbcustody.adapters.postgres.setting import read_setting


@pytest.mark.parametrize(
    ("acl", "grants"),
    [
        pytest.param((), [Grant(None, "TEMPORARY"), Grant(None, "CONNECT")], id="default"),
        pytest.param(("=c/shop",), [Grant(None, "CONNECT")], id="public"),
        pytest.param(("shop=C*Tc*/shop",),
                     [Grant("shop", "CREATE", may_pass_on=True), Grant("shop", "TEMPORARY"),
                      Grant("shop", "CONNECT", may_pass_on=True)], id="pass on"),
        pytest.param(('"a ""b""=c/d"=c/"a ""b"""',), [Grant('a "b"=c/d', "CONNECT")], id="odd name"),
        pytest.param(("reader=/shop",), [], id="nothing"),
        pytest.param(("reader=cX/shop",), [Grant("reader", "CONNECT")], id="a right that a database does not have"),
    ],
)  # fmt: skip
def test_rights_of_a_database(acl: tuple[str, ...], grants: list[Grant]) -> None:
    """Grantee, right, and whether it may be passed on."""
    assert list(read_grants(acl)) == grants


@pytest.mark.parametrize("item", ["", "shop", "shop=c", '"shop=c/shop', "shop=c;drop/x;=/"])
def test_what_is_no_acl(item: str) -> None:
    """Nothing is made of it."""
    with pytest.raises(ValueError, match="^" if not item else item[:3].replace("(", "")):
        read_grants((item,))


@pytest.mark.parametrize(
    ("text", "setting"),
    [
        pytest.param("work_mem=64MB", ("work_mem", ("64MB",)), id="plain"),
        pytest.param("application_name=a=b, c", ("application_name", ("a=b, c",)), id="commas that are no list"),
        pytest.param("search_path=public", ("search_path", ("public",)), id="one name"),
        pytest.param('search_path="$user", public', ("search_path", ("$user", "public")), id="list"),
        pytest.param('search_path="a ""b"", c",d', ("search_path", ('a "b", c', "d")), id="odd names"),
        pytest.param("search_path=", ("search_path", ("",)), id="nobody"),
        pytest.param('search_path=""', ("search_path", ("",)), id="nobody, quoted"),
    ],
)
def test_settings(text: str, setting: tuple[str, tuple[str, ...]]) -> None:
    """A list comes in parts, anything else whole."""
    assert read_setting(text) == setting


def test_list_that_nobody_could_have_stored() -> None:
    """What is not quoted rightly is not written back."""
    with pytest.raises(ValueError, match="x"):
        read_setting('search_path=x" y')
