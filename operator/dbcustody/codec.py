"""Frozen dataclasses from JSON and back, with the path of the field in every complaint.

Kubernetes speaks camelCase, Python snake_case; both the resources (`api/`) and what operator and Job say to each other (`contract`)
cross that border here and nowhere else. Unknown fields are left aside: a newer peer may know more
(the API server itself refuses what a CRD does not know).
"""

from __future__ import annotations

import json
import math
import re
import types
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, Field, fields, is_dataclass
from datetime import UTC, datetime
from enum import Enum
from functools import cache
from typing import Any, NoReturn, TypeVar, Union, get_args, get_origin, get_type_hints

from dbcustody.errors import InvalidSpecError

T = TypeVar("T")
Json = Any
"""What `json` reads and writes; the type system of Python cannot say it without recursion that mypy refuses here."""

_HUMP = re.compile(r"_([a-z0-9])")
_SCALARS = {str: "a string", int: "an integer", bool: "true or false", float: "a number"}


@cache
def wire_name(field_name: str) -> str:
    """Return the camelCase name of a snake_case field; a trailing underscore (a Python keyword) is dropped."""
    return _HUMP.sub(lambda hump: hump.group(1).upper(), field_name.rstrip("_"))


@cache
def hints_of(cls: type) -> dict[str, Any]:
    """Return the resolved annotations of dataclass *cls*."""
    return get_type_hints(cls)


def decode(cls: type[T], value: Json, path: str = "") -> T:
    """Return *value* (parsed JSON) as *cls*, a dataclass or a type that its fields may have.

    Raises InvalidSpecError naming the path, what was found and what is allowed; values are never quoted, because they may be secret.
    """
    decoded: T = _decode(cls, value, path)
    return decoded


def encode(value: object) -> Json:
    """Return *value* as JSON: dataclasses as camelCase mappings without the fields that are None or empty collections."""
    if type(value) in _SCALARS:
        return value
    if is_dataclass(value) and not isinstance(value, type):
        pairs = ((name, getattr(value, field)) for field, name in _wire_names(type(value)))
        return {name: encode(item) for name, item in pairs if not _is_absent(item)}
    return _encode_plain(value)


def _encode_plain(value: object) -> Json:
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, datetime):
        return format_time(value)
    if isinstance(value, Mapping):
        return {key: encode(item) for key, item in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str | bytes):
        return [encode(item) for item in value]
    return value


def format_time(moment: datetime) -> str:
    """Return *moment* in RFC 3339, UTC, to the second, as Kubernetes writes times."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def parse_json(text: str) -> Json:
    """Return what the JSON *text* says; raises ValueError for anything else, and for what is nested deeper than anybody of ours writes.

    NaN, the infinities, and numbers so large that they would become one are no JSON (RFC 8259, section 6), though Python reads them.
    """
    try:
        value: Json = json.loads(text, parse_constant=_refuse_constant, parse_float=_finite)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error
    return value


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(name)


def _finite(text: str) -> float:
    value = float(text)
    if math.isinf(value):
        raise ValueError(text)
    return value


def parse_time(text: str) -> datetime:
    """Return the aware UTC time that RFC 3339 *text* says; raises ValueError for anything else."""
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError(text)
    return moment.astimezone(UTC)


@cache
def _wire_names(cls: Any) -> tuple[tuple[str, str], ...]:
    """Return each field of the dataclass *cls* with its name on the wire."""
    return tuple((field.name, wire_name(field.name)) for field in fields(cls))


def _is_absent(item: object) -> bool:
    return item is None or (isinstance(item, tuple | list | Mapping) and not item)


def _decode(kind: Any, value: Json, path: str) -> Any:
    if kind is Any or kind is object:
        return value
    origin = get_origin(kind)
    if origin in (Union, types.UnionType):
        return _decode_optional(kind, value, path)
    if origin is tuple:
        return _decode_list(get_args(kind)[0], value, path)
    if origin is not None and issubclass(origin, Mapping):
        return _decode_mapping(get_args(kind)[1], value, path)
    return _decode_plain(kind, value, path)


def _decode_optional(kind: Any, value: Json, path: str) -> Any:
    """`X | None` is the only union that the resources use."""
    if value is None:
        return None
    (inner,) = (choice for choice in get_args(kind) if choice is not type(None))
    return _decode(inner, value, path)


def _decode_list(item_kind: Any, value: Json, path: str) -> tuple[Any, ...]:
    if not isinstance(value, Sequence) or isinstance(value, str | bytes):
        raise _mismatch(path, value, "a list")
    return tuple(_decode(item_kind, item, f"{path}[{index}]") for index, item in enumerate(value))


def _decode_mapping(item_kind: Any, value: Json, path: str) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        raise _mismatch(path, value, "a mapping")
    return {str(key): _decode(item_kind, item, f"{path}.{key}") for key, item in value.items()}


def _decode_plain(kind: type, value: Json, path: str) -> Any:
    if is_dataclass(kind):
        return _decode_dataclass(kind, value, path)
    if issubclass(kind, Enum):
        return _decode_enum(kind, value, path)
    if kind is datetime:
        return _decode_time(value, path)
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return _as_float(value, path)
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        raise _mismatch(path, value, _SCALARS[kind])
    return value


def _as_float(value: int, path: str) -> float:
    try:
        return float(value)
    except OverflowError as error:
        raise InvalidSpecError(f"{path}: is an integer beyond every number that can be computed with") from error


def _decode_enum(kind: type[Enum], value: Json, path: str) -> Enum:
    try:
        # what is neither text nor a number is not shown to the enum: it would quote it, however deep, and take True for 1
        return kind(value if isinstance(value, str | int) and not isinstance(value, bool) else None)
    except ValueError as error:
        allowed = ", ".join(f"'{choice.value}'" for choice in kind)
        raise InvalidSpecError(f"{path}: must be one of {allowed}") from error


def _decode_time(value: Json, path: str) -> datetime:
    if isinstance(value, datetime) and value.tzinfo is not None:
        return value.astimezone(UTC)
    try:
        return parse_time(value if isinstance(value, str) else "")
    except (ValueError, OverflowError) as error:
        raise InvalidSpecError(f"{path}: must be a time of RFC 3339 such as 2026-01-31T02:00:00Z") from error


def _decode_dataclass(kind: type, value: Json, path: str) -> Any:
    if not isinstance(value, Mapping):
        raise _mismatch(path, value, "a mapping")
    hints = hints_of(kind)
    given: dict[str, Any] = {}
    for field in fields(kind):
        name = wire_name(field.name)
        where = f"{path}.{name}" if path else name
        if value.get(name) is not None:
            given[field.name] = _decode(hints[field.name], value[name], where)
        elif _is_required(field):
            raise InvalidSpecError(f"{where}: is missing; it must be given")
    return kind(**given)


def _is_required(field: Field[Any]) -> bool:
    return field.default is MISSING and field.default_factory is MISSING


def _mismatch(path: str, value: Json, wanted: str) -> InvalidSpecError:
    found = "nothing" if value is None else type(value).__name__
    return InvalidSpecError(f"{path or 'value'}: is {found}; must be {wanted}")
