"""Migrations that lie in an image: how they come into a pod without anything of the image being run, and what is known of them when."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

import pytest

from dbcustody.api.condition import ConditionType
from dbcustody.api.meta import ObjectRef
from dbcustody.api.migration import MigrationGates, MigrationPolicy, MigrationRef, PromotionGate
from dbcustody.api.migration_source import MigrationSource, PullPolicy, SourceFormat, SourceImage
from dbcustody.contract import MOUNT_ROOT, Verb
from dbcustody.reason import Reason
from tests.fakes import seen
from tests.fakes.migration_plane import ALL_IN, TO_DO, MigrationPlane, config_map, looked, migration, told

READY, PLANNED, SOURCE = ConditionType.READY, ConditionType.PLANNED, ConditionType.SOURCE_RESOLVED
APPLICATION: Final = SourceImage(reference="example.org/shop:1.4", path="/app/migrations/")
IN_IMAGE: Final = MigrationSource(image=APPLICATION, format=SourceFormat.PRISMA)


def plane() -> MigrationPlane:
    """Return one whose resource was never looked at."""
    return MigrationPlane(migration=migration(source=IN_IMAGE))


def pod(of: MigrationPlane) -> dict[str, Any]:
    """Return the spec of the last Job's pod."""
    spec: dict[str, Any] = of.started[-1]["spec"]["template"]["spec"]
    return spec


def test_the_files_are_copied_by_a_program_of_ours() -> None:
    """An image without a shell has them, too; a slash at the end of the path makes no difference."""
    one = plane()
    one.step()
    laying, copying = pod(one)["initContainers"]
    program = f"{MOUNT_ROOT}/copier/busybox"

    assert (laying["image"], laying["command"]) == (seen.IMAGE, ["cp", "/bin/busybox", program])
    assert copying["image"] == APPLICATION.reference
    assert copying["command"] == [program, "cp", "-rL", "/app/migrations/.", f"{MOUNT_ROOT}/source-image"]
    assert copying["imagePullPolicy"] == "Always"
    assert (one.asked().migration.image, one.asked().migration.format) == (APPLICATION, SourceFormat.PRISMA)  # type: ignore[union-attr]


def test_the_image_gets_no_secret_and_no_right() -> None:
    """Its container sees the two folders; the worker reads what was copied and cannot change it."""
    one = plane()
    one.step()
    spec = pod(one)
    volumes = {volume["name"]: volume for volume in spec["volumes"]}
    for container in spec["initContainers"]:
        assert {mount["name"] for mount in container["volumeMounts"]} <= {"copier", "source-image"}
        assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
        assert container["securityContext"]["allowPrivilegeEscalation"] is False
        assert container["securityContext"]["readOnlyRootFilesystem"] is True
        assert "env" not in container
    (mount,) = (one for one in spec["containers"][0]["volumeMounts"] if one["name"] == "source-image")
    assert mount["readOnly"] is True
    assert all("emptyDir" in volumes[name] for name in ("copier", "source-image"))


def test_nothing_is_known_of_the_files_before_a_look() -> None:
    """Which is said; then the digest of what was found is what a run has to find again."""
    one = plane()
    one.step()
    asked = one.asked().migration
    assert asked is not None
    assert (asked.source_digest, one.word(SOURCE)) == (None, ("Unknown", "Pending"))
    one.ends(told(replace(TO_DO, source_digest="f" * 64)))
    one.step()
    run = one.asked()
    assert run.migration is not None
    assert (run.verb, run.migration.source_digest) == (Verb.MIGRATE, "f" * 64)
    assert (one.word(SOURCE), one.migration.status.source_digest) == (("True", "SourceResolved"), "f" * 64)


@pytest.mark.parametrize(
    ("reference", "said", "pulls"),
    [
        ("example.org/shop:1.4", None, "Always"),
        ("example.org/shop", None, "Always"),
        (f"example.org/shop@sha256:{64 * '0'}", None, "IfNotPresent"),
        ("example.org/shop:1.4", PullPolicy.IF_NOT_PRESENT, "IfNotPresent"),
        (f"example.org/shop@sha256:{64 * '0'}", PullPolicy.ALWAYS, "Always"),
    ],
)
def test_a_tag_is_asked_for_each_time(reference: str, said: PullPolicy | None, pulls: str) -> None:
    """A node that has it would run yesterday's files for ever; what is loaded into the nodes can be said to be there."""
    source = MigrationSource(image=SourceImage(reference=reference, path="/m", pull_policy=said))
    one = MigrationPlane(migration=migration(source=source))
    one.step()
    assert pod(one)["initContainers"][1]["imagePullPolicy"] == pulls


def test_the_folder_has_a_limit_that_holds() -> None:
    """Of an emptyDir on disk it is only looked after once in a while."""
    one = plane()
    one.step()
    (volume,) = (each for each in pod(one)["volumes"] if each["name"] == "source-image")
    assert volume["emptyDir"] == {"medium": "Memory", "sizeLimit": "64Mi"}


def test_nodes_with_different_images_are_not_gone_between_without_a_pause() -> None:
    """Each look finds other files than the run before it: which is a failure of its, and is tried again later each time."""
    one = looked(of=migration(source=IN_IMAGE))
    for digest in ("a", "b"):
        one.ends(told(None, Reason.PLAN_CHANGED, "other files"))
        one.steps(2)
        assert one.verbs[-1] == "settle-migration"
        one.ends(told(replace(TO_DO, source_digest=digest)))
        one.steps(2)
        assert one.word(READY) == ("False", "PlanChanged")
        runs = one.verbs.count("migrate")
        one.passes(one.look_again_seconds or 0)
        one.step()
        assert one.verbs.count("migrate") == runs + 1
    assert one.migration.status.run is not None
    assert one.migration.status.run.failures == 2


def without_image(one: MigrationPlane) -> None:
    """Have the last Job's pod wait for an image."""
    waits = seen.pod(waiting_reason="ErrImagePull", waiting_message="no such image", lacks_server=True)
    one.jobs[one.name] = replace(one.jobs[one.name], active=1, pods=(waits,))


def test_an_image_that_is_not_there_is_said_of_the_source() -> None:
    """And it goes on by itself when it comes."""
    one = plane()
    one.step()
    without_image(one)
    one.step()
    assert (one.word(READY), one.word(SOURCE)) == (("False", "ImageNotAvailable"),) * 2
    one.ends(told(ALL_IN))
    one.step()
    assert (one.word(READY), one.word(SOURCE)) == (("True", "Applied"), ("True", "SourceResolved"))


def test_a_run_that_waits_for_an_image_ends_when_the_spec_names_another() -> None:
    """Nothing of it can have run; as long as the spec is the same it is waited for."""
    one = looked(of=migration(source=IN_IMAGE))
    waiting = one.name
    without_image(one)
    one.step()
    assert (one.word(READY), waiting in one.jobs) == (("False", "ImageNotAvailable"), True)
    one.edit(source=replace(IN_IMAGE, image=replace(APPLICATION, reference="example.org/shop:1.5")))
    one.steps(2)
    assert (waiting in one.jobs, one.verbs[-1]) == (False, "settle-migration")
    one.ends(told(replace(TO_DO, source_digest="e")))
    one.steps(2)
    assert one.verbs[-1] == "migrate"


def test_it_rests_once_all_is_in() -> None:
    """A digest that only a look tells is no reason to look again at once."""
    one = looked(ALL_IN, of=migration(source=IN_IMAGE))
    one.steps(3)
    assert (one.word(READY), one.verbs) == (("True", "Applied"), ["plan-migration"])
    assert one.word(SOURCE) == ("True", "SourceResolved")


def test_another_image_is_looked_into() -> None:
    """What was found in the last one says nothing of it."""
    one = looked(ALL_IN, of=migration(source=IN_IMAGE))
    one.edit(source=replace(IN_IMAGE, image=replace(APPLICATION, reference="example.org/shop:1.5")))
    one.step()
    assert (one.word(READY), one.word(SOURCE)) == (("Unknown", "Pending"), ("Unknown", "Pending"))
    assert one.verbs == ["plan-migration"] * 2


def test_from_config_maps_to_an_image_and_back() -> None:
    """Each time the digest is that of what the spec names."""
    one = looked(ALL_IN)
    before = one.migration.status.source_digest
    one.edit(source=IN_IMAGE)
    one.step()
    one.ends(told(replace(ALL_IN, source_digest="e" * 64)))
    one.steps(2)
    assert (one.migration.status.source_digest, one.word(READY)) == ("e" * 64, ("True", "Applied"))
    one.edit(source=MigrationSource(config_map_refs=(ObjectRef(name="shop-migrations"),)), config=config_map())
    one.step()
    assert one.migration.status.source_digest == before
    assert one.word(READY) == ("Unknown", "Pending")


def test_an_image_that_cannot_be_read_is_told_and_looked_at_again() -> None:
    """Its path may be wrong; what the program complained of is the message."""
    one = plane()
    one.step()
    job = one.jobs[one.name]
    failed = seen.pod(phase="Failed", lacks_source="cp: can't stat '/app/migrations/.': No such file or directory")
    one.jobs[one.name] = replace(job, outcome="Failed", finish_time=one.now, pods=(failed,))
    one.step()
    assert (one.word(PLANNED), one.word(SOURCE)) == (("False", "SourceNotFound"),) * 2
    assert "`spec.source.image`: cp: can't stat '/app/migrations/.'" in one.message(PLANNED)
    one.passes(10)
    one.step()
    assert (one.verbs, one.word(SOURCE)) == (["plan-migration"] * 2, ("False", "SourceNotFound"))


def test_what_was_in_the_last_image_is_not_said_of_one_that_cannot_be_read() -> None:
    """Nor is a digest kept by which it might be promoted."""
    one = looked(ALL_IN, of=migration(source=IN_IMAGE))
    one.edit(source=replace(IN_IMAGE, image=replace(APPLICATION, path="/nowhere")))
    one.step()
    job = one.jobs[one.name]
    one.jobs[one.name] = replace(job, outcome="Failed", finish_time=one.now, pods=(seen.pod(lacks_source="cp: no"),))
    one.steps(2)
    assert (one.word(SOURCE), one.migration.status.source_digest) == (("False", "SourceNotFound"), None)


def test_a_later_look_that_fails_takes_nothing_back() -> None:
    """The registry may be away for a while; what is known of the files stays known."""
    one = looked(ALL_IN, of=migration(source=IN_IMAGE))
    one.passes(3601)
    one.step()
    one.ends(told(None, Reason.CONNECTION_LOST, "gone"))
    one.steps(2)
    assert (one.word(SOURCE), one.migration.status.source_digest) == (("True", "SourceResolved"), "d")


def test_files_that_are_wrong_are_no_missing_source() -> None:
    """They were found; what is wrong with them stands in the plan's condition."""
    one = plane()
    one.step()
    one.ends(told(None, Reason.SOURCE_INVALID, "a.sql: no"))
    one.step()
    assert (one.word(PLANNED), one.word(SOURCE)) == (("False", "SourceInvalid"), ("Unknown", "Pending"))


def test_a_tag_that_moved_is_another_plan() -> None:
    """The run finds other files than were planned, does nothing, and the database is looked at again."""
    one = looked(of=migration(source=IN_IMAGE))
    one.runs()
    one.step()
    one.ends(told(None, Reason.PLAN_CHANGED, "the files have the digest a, and d is meant; nothing was run"))
    one.steps(2)
    assert one.verbs == ["plan-migration", "migrate", "settle-migration"]
    one.ends(told(replace(TO_DO, source_digest="a" * 64)))
    one.step()
    one.passes(one.look_again_seconds or 0)
    one.step()
    assert one.asked().migration.source_digest == "a" * 64  # type: ignore[union-attr]
    assert one.verbs[-1] == "migrate"


def test_python_in_an_image_is_run_only_where_that_is_allowed() -> None:
    """The policy travels with the request, as for any source."""
    one = MigrationPlane(migration=migration(source=IN_IMAGE, policy=MigrationPolicy(allow_python=True)))
    one.step()
    assert one.asked().migration.policy.allow_python  # type: ignore[union-attr]


def test_an_image_is_promoted_by_the_files_in_it() -> None:
    """Wherever they lie elsewhere: the same bytes are the same source."""
    gates = MigrationGates(promotion=PromotionGate(migration_ref=MigrationRef(name="staging")))
    one = looked(of=migration(source=IN_IMAGE, gates=gates))
    assert one.word(ConditionType.PROMOTION_PROVEN) == ("Unknown", "PromotionPending")
    elsewhere = looked(ALL_IN).migration
    status = replace(elsewhere.status, source_digest=one.migration.status.source_digest)
    one.around = replace(one.around, promotion=replace(elsewhere, status=status))
    one.step()
    assert one.word(ConditionType.PROMOTION_PROVEN) == ("True", "PromotionProven")
    assert one.verbs[-1] == "migrate"
