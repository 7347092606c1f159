"""Under which identity a database is known to whoever works on it from the command line, where nobody has said one."""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING, Final

from dbcustody.repository.layout import check_custody_id

if TYPE_CHECKING:
    from dbcustody.api.connection import Recognised

_DEFAULT_PORT: Final = "5432"
_UNFIT: Final = re.compile(r"[^a-z0-9._-]+|\.\.+")
_LONGEST_CUSTODY_ID: Final = 128
_DIGEST_LENGTH: Final = 8


def default_custody_id(database: Recognised) -> str:
    """Return the identity of *database* in a storage: `<host>.<database>`, behind the host its port unless that is PostgreSQL's own.

    What the grammar does not allow is replaced; then a digest of the true names stands behind, so that two databases never share one.
    """
    port = "" if database.port in {_DEFAULT_PORT, ""} else f"-{database.port}"
    true = f"{database.host}{port}.{database.database}"
    fitted = _UNFIT.sub("-", true.lower()).strip("._-")
    if fitted == true and len(fitted) <= _LONGEST_CUSTODY_ID:
        return check_custody_id(fitted)
    digest = hashlib.sha256(true.encode()).hexdigest()[:_DIGEST_LENGTH]
    front = fitted[: _LONGEST_CUSTODY_ID - _DIGEST_LENGTH - 1].strip("._-")
    return check_custody_id(f"{front}-{digest}".lstrip("-"))
