"""The files that a Job was given, held against those that were decided about: no others are carried out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import structlog

from dbcustody.api.migration_source import SourceFormat
from dbcustody.contract import Verb
from dbcustody.errors import RefusedError, UnavailableError
from dbcustody.migration.layout import digest_of
from dbcustody.migration.tree import Tree, form_of, read_files
from dbcustody.naming import named
from dbcustody.reason import Reason

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from dbcustody.contract import MigrationTerms
    from dbcustody.migration.layout import LaidFile
    from dbcustody.migration.script import Script

_FAULTS_TOLD: Final = 5
_LOG = structlog.stdlib.get_logger("dbcustody.job")


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundSource:
    """What the files are, and the digest by which they are known."""

    tree: Tree
    digest: str


def find_source(verb: Verb, terms: MigrationTerms, files: Sequence[LaidFile]) -> FoundSource:
    """Return what *files* are, which are those that were decided about.

    Raises UnavailableError (SourceNotFound) or, when a plan was agreed to, RefusedError (PlanChanged) for other files; RefusedError
    (SourceInvalid) naming the first faults.
    """
    tree = read_files(files, form_of(terms.format, in_image=terms.image is not None))
    # beside its migrations a folder of an image may hold what differs from build to build; what is in a ConfigMap was put there
    digest = digest_of(files if terms.image is None else tree.files)
    if terms.source_digest not in {None, digest}:
        raise _other_files(verb, f"the files have the digest {digest}, and {terms.source_digest} is meant")
    if _is_meant_to_have_some(terms) and not (tree.scripts or tree.faults):
        raise UnavailableError(_nothing_found(terms, len(files)), reason=Reason.SOURCE_NOT_FOUND)
    if tree.faults:
        told = named([str(fault) for fault in tree.faults], _FAULTS_TOLD, separator="; ", rest="more faults")
        raise RefusedError(f"{told}; nothing was run", reason=Reason.SOURCE_INVALID)
    if not terms.policy.allow_python:
        _require_no_python(tree.scripts)
    for words in tree.layout.asides if tree.layout is not None else ():
        _LOG.info("a file is left out", what=words)
    return FoundSource(tree=tree, digest=digest)


def _is_meant_to_have_some(terms: MigrationTerms) -> bool:
    """Return whether a source without a migration is a mistake: a path or a format that is not the one that was meant.

    ConfigMaps of ours may begin empty.
    """
    return terms.image is not None or terms.format not in {SourceFormat.AUTO, SourceFormat.SQL}


def _nothing_found(terms: MigrationTerms, count: int) -> str:
    of_whom = "" if terms.format is SourceFormat.AUTO else f" of {terms.format.value}"
    image = terms.image
    where = "in the source" if image is None else f"below {image.path} in the image {image.reference}"
    return f"no migration{of_whom} lies {where}, among {count} files; correct `spec.source`"


def _other_files(verb: Verb, message: str) -> RefusedError | UnavailableError:
    if verb is Verb.MIGRATE:
        return RefusedError(f"{message}; nothing was run", reason=Reason.PLAN_CHANGED)
    helps = "a ConfigMap that was just changed takes a while"
    return UnavailableError(f"{message}; {helps}", reason=Reason.SOURCE_NOT_FOUND)


def _require_no_python(scripts: Iterable[Script]) -> None:
    """Raise RefusedError (SourceInvalid) where a migration is code: whoever may write a ConfigMap may not run code for that alone."""
    names = [script.up.file for script in scripts if script.is_python]
    if names:
        told = named(names, _FAULTS_TOLD, rest="more")
        raise RefusedError(
            f"{told}: in Python, and `policy.allowPython` is not true; nothing was run",
            reason=Reason.SOURCE_INVALID,
        )
