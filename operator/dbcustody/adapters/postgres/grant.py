"""What an ACL says, as `pg_database.datacl` has it: `grantee=rights/grantor`, the grantee empty for PUBLIC.

Source: https://www.postgresql.org/docs/current/ddl-priv.html, "ACL Privilege Abbreviations"; a name that is not plain stands in double
quotes, which are doubled in it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

RIGHTS: Final = {"C": "CREATE", "c": "CONNECT", "T": "TEMPORARY"}
"""Those that a database has."""
DEFAULT_ACL: Final = ("=Tc/",)
"""What a database without an ACL grants."""
_ITEM: Final = re.compile(r'(?P<grantee>"(?:[^"]|"")*"|[^"=]*)=(?P<rights>(?:[A-Za-z]\*?)*)/.*', re.DOTALL)


@dataclass(frozen=True, slots=True)
class Grant:
    """One right for one *grantee*; None means PUBLIC."""

    grantee: str | None
    right: str
    may_pass_on: bool = False


def read_grants(acl: tuple[str, ...]) -> tuple[Grant, ...]:
    """Return the rights on a database that *acl* gives, empty meaning the default; rights that a database does not have are left out.

    Raises ValueError for what is no ACL.
    """
    return tuple(grant for item in acl or DEFAULT_ACL for grant in _read_item(item))


def _read_item(item: str) -> list[Grant]:
    match = _ITEM.fullmatch(item)
    if match is None:
        raise ValueError(item)
    name = match["grantee"]
    grantee = name[1:-1].replace('""', '"') if name.startswith('"') else name
    letters = re.findall(r"([A-Za-z])(\*?)", match["rights"])
    return [Grant(grantee or None, RIGHTS[letter], star == "*") for letter, star in letters if letter in RIGHTS]
