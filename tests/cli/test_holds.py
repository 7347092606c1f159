"""`dbcustody hold` and `dbcustody release`, through the real command: by hand, on a backup whose cluster may be gone."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.cli.conftest import Person

pytestmark = [pytest.mark.postgres, pytest.mark.s3]

KEEP_ONE = {"BACKUP_RETENTION_DAYS": "0"}


def test_a_held_backup_stays_until_it_is_released(at_folder: Person) -> None:
    """Retention leaves it alone, the list says so, and afterwards it goes; neither needs the database."""
    assert at_folder.run("backup", "--name", "one", **KEEP_ONE).code == 0
    placed = at_folder.run("hold", "one")
    again = at_folder.run("hold", "one")
    taken = [at_folder.run("backup", "--name", name, **KEEP_ONE) for name in ("two", "three")]
    assert [done.code for done in taken] == [0, 0]
    listed = at_folder.run("backups", "list").out
    released = at_folder.run("release", "one")
    assert at_folder.run("backup", "--name", "four", **KEEP_ONE).code == 0
    after = at_folder.run("backups", "list").out

    assert (placed.code, placed.out) == (0, "backup one: beside it stands hold 1 (by hand)\n")
    assert again.out == placed.out
    assert [(line.split()[0], line.split()[-1]) for line in listed.splitlines()[1:3]] == [
        ("one", "Good,Held"),
        ("three", "Good"),
    ], taken
    assert (released.code, released.out) == (0, "backup one: beside it stands no hold\n")
    assert [line.split()[0] for line in after.splitlines()[1:2]] == ["four"]


@pytest.mark.parametrize("command", ["hold", "release"])
@pytest.mark.parametrize("place", ["at_folder", "at_bucket"])
def test_what_is_not_there_is_said(request: pytest.FixtureRequest, place: str, command: str) -> None:
    """Before the first backup, of another name, and of one that retention took; a storage that nobody used stays untouched."""
    person: Person = request.getfixturevalue(place)
    untouched = person.run(command, "one")
    fresh = person.folder is None or not list(person.folder.iterdir())
    for name in ("one", "two"):
        assert person.run("backup", "--name", name, **KEEP_ONE).code == 0
    other, gone = person.run(command, "other"), person.run(command, "one")

    assert (untouched.code, other.code, gone.code) == (1, 1, 1)
    assert fresh
    for name, done in (("one", untouched), ("other", other), ("one", gone)):
        assert f"holds no backup {name} of" in done.err
        assert done.err.startswith("error: NothingToHold: ")
        assert done.out == ""
