"""What status tells of the statement that the server refused last: as the run told it, or as much as the ledger keeps of it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from jsonschema import Draft202012Validator

from dbcustody.api.migration import DatabaseMigration
from dbcustody.api.migration_error import StatedError
from dbcustody.plan.migration_outcome import MESSAGE_LENGTH, NAME_LENGTH
from dbcustody.reason import Reason
from tests.fakes import seen
from tests.fakes.migration_plane import ALL_IN, FILE, TO_DO, MigrationPlane, looked, told
from tests.gitops.bodies import body_of

if TYPE_CHECKING:
    from dbcustody.facts import MigrationFacts

CRD = Path(__file__).parents[2] / "crds" / "databasemigrations.yaml"
KEPT = StatedError(sqlstate="23505", revision=FILE, time=seen.NOW)
TOLD = replace(
    KEPT,
    statement_number=2,
    line=3,
    file=f"{FILE}.sql",
    schema="crm",
    table="people",
    column="email",
    constraint="one_each",
    message='duplicate key value violates unique constraint "one_each"',
)


def failed(error: StatedError | None = TOLD) -> MigrationPlane:
    """Return a resource whose run ended with *error*."""
    plane = looked()
    plane.ends(told(replace(TO_DO, last_error=error), Reason.MIGRATION_FAILED, "no"))
    plane.steps(2)
    return plane


def looks_again(plane: MigrationPlane, facts: MigrationFacts) -> StatedError | None:
    """Have the database looked at once more, which tells *facts*, and return what status says then."""
    plane.ask_again(str(plane.migration.status.ordinal))
    plane.step()
    plane.ends(told(facts))
    plane.step()
    return plane.migration.status.last_error


def test_it_is_told_as_the_run_told_it() -> None:
    """And nothing is told of it before anything failed."""
    assert looked().migration.status.last_error is None
    assert failed().migration.status.last_error == TOLD


def test_a_look_that_finds_the_same_failure_takes_nothing_away() -> None:
    """The ledger keeps less of it; of another one, only that is true."""
    assert looks_again(failed(), replace(TO_DO, last_error=KEPT)) == TOLD
    for other in (
        replace(KEPT, sqlstate="23514"),
        replace(KEPT, revision="another"),
        replace(KEPT, time=seen.ago(60)),
    ):
        assert looks_again(failed(), replace(TO_DO, last_error=other)) == other


def test_a_resource_that_is_new_tells_what_the_ledger_keeps() -> None:
    """Status is read from the database, and from nowhere else."""
    assert looked(replace(TO_DO, last_error=KEPT)).migration.status.last_error == KEPT


def test_what_succeeded_takes_it_away() -> None:
    """Also when somebody else has carried it out, and an older Job that does not tell is believed."""
    plane = failed()
    plane.ask_again()
    plane.step()
    plane.ends(told(replace(TO_DO, last_error=KEPT)))
    plane.step()
    plane.ends(told(ALL_IN, Reason.APPLIED))
    plane.steps(2)
    assert plane.migration.status.last_error is None
    assert looks_again(failed(), ALL_IN) is None


def test_another_failure_takes_its_place() -> None:
    """Of the same migration at the same moment, too."""
    other = replace(TOLD, constraint="small")
    assert looks_again(failed(), replace(TO_DO, last_error=other)) == other


def test_a_run_that_leaves_nothing_leaves_what_was_told() -> None:
    """Until the ledger was asked."""
    plane = failed()
    plane.ask_again()
    plane.step()
    plane.ends(told(replace(TO_DO, last_error=KEPT)))
    plane.step()
    plane.ends(None)
    plane.step()
    assert (plane.migration.status.last_error, plane.migration.status.unsettled) == (TOLD, True)


@pytest.mark.parametrize("error", [KEPT, TOLD])
def test_it_goes_through_the_crd_and_back(error: StatedError) -> None:
    """The API server lets it stand, and it is read as it was written; what is not known is not written."""
    body = body_of(failed(error).migration)
    Draft202012Validator(schema()).validate(body)
    assert DatabaseMigration.from_body(body).status.last_error == error
    written = body["status"]["lastError"]
    assert ("constraint" in written, "statementNumber" in written) == (error is TOLD, error is TOLD)
    assert "lastError" not in body_of(looked().migration)["status"]


def test_it_has_room_whatever_is_named() -> None:
    """No name and no word is longer than the CRD allows."""
    long = "x" * 5000
    plane = failed(replace(TOLD, file=long, schema=long, table=long, column=long, constraint=long, message=long))
    Draft202012Validator(schema()).validate(body_of(plane.migration))
    found = plane.migration.status.last_error
    assert found is not None
    lengths = {len(one or "") for one in (found.file, found.schema, found.table, found.column, found.constraint)}
    assert (lengths, len(found.message or "")) == ({NAME_LENGTH}, MESSAGE_LENGTH)


def schema() -> Any:
    """Return what the API server holds a DatabaseMigration against."""
    (version,) = yaml.safe_load(CRD.read_text())["spec"]["versions"]
    return version["schema"]["openAPIV3Schema"]
