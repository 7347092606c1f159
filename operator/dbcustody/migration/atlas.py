"""A folder of Atlas: `<version>_<description>.sql` beside `atlas.sum`; each checksum is of a file and all before it.

Order and checksums: `LocalDir` and `NewHashFile` in `sql/migrate/dir.go` of ariga/atlas.
"""

from __future__ import annotations

import base64
import hashlib
import re
from typing import TYPE_CHECKING, Final

from dbcustody.migration.layout import LaidFile, LaidMigration, Layout, Rank, Tool, repeats

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

SUM: Final = "atlas.sum"
_PREFIX: Final = "h1:"
_CHECKPOINT: Final = re.compile(rb"\A(?:(?:--|#)[^\n]*\n)*?--[ ]atlas:checkpoint")
_IGNORED: Final = re.compile(rb"\A[ -~]*atlas:sum +ignore")
_FORMS: Final[tuple[Callable[[bytes], bytes], ...]] = (
    lambda content: content,
    lambda content: content.replace(b"\r\n", b"\n"),
    lambda content: content.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n"),
)
"""As it is, and as checkouts on other systems have it."""


def is_atlas(paths: Sequence[str]) -> bool:
    """Return whether files at *paths* are laid out as Atlas does, which refuses a folder without its sums."""
    return SUM in paths


def lay_out(files: Sequence[LaidFile]) -> Layout:
    """Return the migrations of Atlas's folder of *files*; with its directories of other tools (`?format=`) only their names are read."""
    scripts = sorted(
        (file for file in files if "/" not in file.path and file.path.endswith(".sql")), key=lambda file: file.path
    )
    is_two_way = any(file.path.endswith(".up.sql") for file in scripts)
    ups = [file for file in scripts if not (is_two_way and file.path.endswith(".down.sql"))]
    checkpoints = [file for file in ups if _CHECKPOINT.search(file.content)]
    back = {file.path: file for file in scripts if is_two_way}
    migrations = tuple(
        LaidMigration(
            key=_version(file),
            name=file.path.removesuffix(".sql").removesuffix(".up"),
            up=file,
            down=back.get(file.path.removesuffix(".up.sql") + ".down.sql"),
        )
        for file in ups
        if file not in checkpoints
    )
    return Layout(
        tool=Tool.ATLAS,
        migrations=migrations,
        faults=tuple(repeats(migrations)),
        asides=(
            *(f"{file.path}: is a checkpoint; the files before it are carried out instead" for file in checkpoints),
            *_sum_asides(files, ups),
        ),
        chained=chained(ups),
    )


def rank(key: str) -> Rank:
    """Return what the version *key* is sorted by: as text. Raises ValueError for what no file's name can begin with."""
    if "_" in key:
        raise ValueError(f"{key!r} is no version of Atlas")
    return (key,)


def chained(files: Sequence[LaidFile]) -> Mapping[str, frozenset[str]]:
    """Return the checksums by version that Atlas may have kept of *files*, which are in their order: with any system's line ends."""
    found: dict[str, set[str]] = {}
    for form in _FORMS:
        for file, value in _chain(files, form):
            found.setdefault(_version(file), set()).add(value)
    return {version: frozenset(values) for version, values in found.items()}


def bare(checksum: str) -> str:
    """Return *checksum* without the name of its method."""
    return checksum.removeprefix(_PREFIX)


def _chain(files: Iterable[LaidFile], form: Callable[[bytes], bytes]) -> Iterator[tuple[LaidFile, str]]:
    digest = hashlib.sha256()
    for file in files:
        digest.update(file.path.encode())
        if _IGNORED.search(file.content):
            continue
        digest.update(form(file.content))
        yield file, base64.b64encode(digest.digest()).decode()


def _version(file: LaidFile) -> str:
    return file.path.removesuffix(".sql").removesuffix(".up").partition("_")[0]


def _sum_asides(files: Sequence[LaidFile], scripts: Sequence[LaidFile]) -> Iterator[str]:
    """Yield whether the file of sums fits the others: Atlas itself would refuse the folder where it does not."""
    given = next((file for file in files if file.path == SUM), None)
    if given is None:
        yield f"{SUM}: is not there, so that nothing says whether a file was changed on its way here"
        return
    found = {_line(file.path, value) for form in _FORMS for file, value in _chain(scripts, form)}
    told = given.content.decode(errors="replace").splitlines()[1:]
    if any(line not in found for line in told) or len(told) != sum(1 for _ in _chain(scripts, _FORMS[0])):
        yield f"{SUM}: does not fit the files; `atlas migrate hash` writes it anew once you know why"


def _line(path: str, value: str) -> str:
    return f"{path} {_PREFIX}{value}"
