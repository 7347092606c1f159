"""What may come into the place of a live database: a part never, another database and what a backup lacks only with a word for it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from dbcustody.api.restore import Patterns, SideEffect
from dbcustody.contract import ReplaceTerms, RestoreTerms
from dbcustody.plan.incoming import judge_incoming
from dbcustody.plan.replacement import Live, Replacement
from dbcustody.plan.restoration import Obstacle
from dbcustody.reason import Reason
from dbcustody.repository.catalogue import FOREIGN_ROWS, PASSWORDS, Catalogue, DatabaseFacts
from dbcustody.repository.manifest import Scope, ServerFacts
from tests.fakes.history import Told, read_backup

HELD = Obstacle(Reason.SESSIONS_HELD, "held by postgres")
FOUND = Replacement(
    live=Live(name="shop", oid=16384, owner="app", role="restorer", system_identifier="1"), obstacles=(HELD,)
)
MANIFEST = replace(read_backup(Told(name="monday")).manifest, custody_id="team.shop")
CATALOGUE = Catalogue(
    database=DatabaseFacts(name="shop", owner="app", encoding="UTF8", collation="C", ctype="C", locale_provider="libc"),
    not_captured=(PASSWORDS.format(2), FOREIGN_ROWS.format(1)),
)
TERMS = RestoreTerms(
    database="incoming", mark="m", replace=ReplaceTerms(custody_id="team.shop", confirm="shop@1", keep_old_seconds=60)
)
OTHER_SERVER = ServerFacts(version="17.5", major_version=17, system_identifier="2")
UNREADABLE = "3 large objects, because 1 of them cannot be read by this role"
EVERYTHING = {"acknowledge": tuple(SideEffect)}


def judged(
    manifest: dict[str, Any] | None = None, catalogue: Catalogue = CATALOGUE, **terms: Any
) -> tuple[list[tuple[Reason, str]], dict[str, tuple[str, ...]]]:
    """Return what speaks against it besides what did before, and the side effects by kind."""
    found = judge_incoming(FOUND, replace(MANIFEST, **(manifest or {})), catalogue, replace(TERMS, **terms))
    assert found.live == FOUND.live
    assert HELD in found.obstacles
    obstacles = [(one.reason, one.text) for one in found.obstacles if one is not HELD]
    return obstacles, {one.kind.value: one.names for one in found.side_effects}


def test_the_whole_of_the_very_database_may_come() -> None:
    """Passwords stay with the roles on the server, and rows of foreign tables where they are: neither is lost."""
    assert judged() == ([], {})


@pytest.mark.parametrize(
    ("manifest", "terms"),
    [
        pytest.param({"scope": Scope.PARTIAL}, {}, id="partial-backup"),
        pytest.param({}, {"tables": Patterns(include=("orders",))}, id="some-tables"),
        pytest.param({}, {"tables": Patterns(exclude=("log",))}, id="without-a-table"),
        pytest.param({}, {"schemas": Patterns(include=("sales",))}, id="some-schemas"),
        pytest.param({}, {"schemas": Patterns(exclude=("tmp",))}, id="without-a-schema"),
    ],
)
def test_a_part_never_comes(manifest: dict[str, Any], terms: dict[str, Any]) -> None:
    """Whatever is acknowledged; it is the first thing that is told, with what helps."""
    lacking = replace(CATALOGUE, not_captured=(UNREADABLE,))
    for more in ({}, EVERYTHING):
        (obstacle,), effects = judged(manifest, lacking, **(terms | more))
        assert (obstacle[0], effects) == (Reason.BACKUP_PARTIAL, {})
        assert (
            "would be lost; restore it into a new database beside this one, or take a backup of the whole"
            in obstacle[1]
        )
    found = judge_incoming(FOUND, replace(MANIFEST, **manifest), lacking, replace(TERMS, **terms))
    assert [one.reason for one in found.obstacles] == [Reason.BACKUP_PARTIAL, Reason.SESSIONS_HELD]


@pytest.mark.parametrize(
    ("manifest", "database", "names"),
    [
        pytest.param({"custody_id": "team.wiki"}, "shop", ("custody team.wiki",), id="custody"),
        pytest.param({"server": OTHER_SERVER}, "shop", ("server 2",), id="server"),
        pytest.param({}, "Shop", ("database Shop",), id="database"),
        pytest.param(
            {"custody_id": "team.wiki", "server": OTHER_SERVER}, "wiki", ("custody team.wiki", "server 2", "database wiki"), id="all"
        ),
    ],
)  # fmt: skip
def test_another_database_comes_only_with_a_word_for_it(
    manifest: dict[str, Any], database: str, names: tuple[str, ...]
) -> None:
    """By what it differs is told; another word does not do."""
    other = replace(CATALOGUE, database=replace(CATALOGUE.database, name=database))
    (obstacle,), effects = judged(manifest, other, acknowledge=(SideEffect.NOT_CAPTURED,))
    assert effects == {"OtherDatabase": names}
    assert obstacle[0] is Reason.ACKNOWLEDGEMENT_NEEDED
    assert obstacle[1].startswith("OtherDatabase: the backup is of another database")
    assert "; ".join(names) in obstacle[1]
    assert judged(manifest, other, acknowledge=(SideEffect.OTHER_DATABASE,)) == ([], effects)


@pytest.mark.parametrize(("server", "here"), [(None, "1"), ("1", None), (None, None)])
def test_a_server_that_nobody_may_know_is_no_other(server: str | None, here: str | None) -> None:
    """Custody and name still have to be the same; who may not know the live one cannot confirm it either."""
    found = replace(FOUND, live=replace(FOUND.live, system_identifier=here))
    manifest = replace(MANIFEST, server=replace(MANIFEST.server, system_identifier=server))
    assert judge_incoming(found, manifest, CATALOGUE, TERMS) == found


def test_without_a_place_to_take_the_custody_is_its_own() -> None:
    """Nothing is compared with what is not said."""
    assert judged({"custody_id": "team.wiki"}, replace=None) == ([], {})


def test_what_the_backup_lacks_is_named() -> None:
    """Each in its words, and words that are new here count as lost; another word does not do."""
    words = (UNREADABLE, "rows of 1 unlogged tables, which a standby does not have", "something of a later version")
    lacking = replace(CATALOGUE, not_captured=(PASSWORDS.format(1), *words, FOREIGN_ROWS.format(9)))
    (obstacle,), effects = judged(catalogue=lacking, acknowledge=(SideEffect.OTHER_DATABASE,))
    assert effects == {"NotCaptured": words}
    assert (obstacle[0], "; ".join(words) in obstacle[1]) == (Reason.ACKNOWLEDGEMENT_NEEDED, True)
    assert judged(catalogue=lacking, acknowledge=(SideEffect.NOT_CAPTURED,)) == ([], effects)


def test_what_hangs_on_the_live_one_is_still_told() -> None:
    """The new side effects stand behind those that were found before."""
    before = judge_incoming(FOUND, replace(MANIFEST, custody_id="team.wiki"), CATALOGUE, replace(TERMS, **EVERYTHING))
    after = judge_incoming(
        before, MANIFEST, replace(CATALOGUE, not_captured=(UNREADABLE,)), replace(TERMS, **EVERYTHING)
    )
    assert [one.kind for one in after.side_effects] == [SideEffect.OTHER_DATABASE, SideEffect.NOT_CAPTURED]
