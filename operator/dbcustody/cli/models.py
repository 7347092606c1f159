"""The models of an application, by the name of the Python object that holds them; its code is run here, as the application runs it."""

from __future__ import annotations

import importlib
import re
import sys
from contextlib import redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, Final

from sqlalchemy import MetaData

from dbcustody.errors import InvalidSpecError

if TYPE_CHECKING:
    from typing import Any

_REFERENCE: Final = re.compile(r"([A-Za-z_][\w.]*):([A-Za-z_][\w.]*)")


def load_models(reference: str) -> MetaData:
    """Return the MetaData that *reference* (`package.module:Base.metadata`) names, looked for from the working folder on.

    The object may also be a declarative base, whose metadata it is then. Raises InvalidSpecError.
    """
    match = _REFERENCE.fullmatch(reference)
    if match is None:
        raise InvalidSpecError(f"models {reference!r}: must be like package.module:Base.metadata")
    found = _follow(_load(match[1]), match[2], reference)
    found = found if isinstance(found, MetaData) else getattr(found, "metadata", found)
    if not isinstance(found, MetaData):
        raise InvalidSpecError(
            f"models {reference}: is a {type(found).__name__}, and must be the MetaData of SQLAlchemy"
        )
    return found


def _load(name: str) -> Any:
    if (here := str(Path.cwd())) not in sys.path:
        sys.path.insert(0, here)
    try:
        with redirect_stdout(sys.stderr):  # standard output is for the answer alone
            return importlib.import_module(name)
    except Exception as error:
        raise InvalidSpecError(f"models: {name} cannot be imported: {type(error).__name__}: {error}") from error


def _follow(found: Any, path: str, reference: str) -> Any:
    for word in path.split("."):
        if not hasattr(found, word):
            raise InvalidSpecError(f"models {reference}: there is no {word} in {getattr(found, '__name__', 'it')}")
        found = getattr(found, word)
    return found
