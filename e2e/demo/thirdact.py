"""Third act: a backup in the place of the running database, and back again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from demo.proof import backups_in_cluster, backups_in_storage, contents_of, hold, in_cluster, verdicts
from demo.secondact import is_over

if TYPE_CHECKING:
    from demo.narration import Narrator
    from demo.server import Servers

_ROWS: Final = "select current_database(), count(distinct full_name) as names from customers"
_OLD: Final = "-o jsonpath='{.status.oldDatabase}{\"\\n\"}'"
_REPLICAS: Final = 2
_CONFIRM: Final = "kubectl get pgdb shop -o jsonpath='{.metadata.name}@{.status.server.systemIdentifier}/{.status.oid}'"
_LIVE: Final = "kubectl get pgrst shop-back -o jsonpath='{.status.oid}'"


def play(narrator: Narrator, servers: Servers) -> None:
    """Play it; raises CommandFailedError when something goes otherwise, and NotAsToldError when it did not bring what it shows."""
    whole, spoilt = (contents_of(servers.postgres, name) for name in ("shop_yesterday", "shop"))
    _run_an_application(narrator)
    narrator.chapter(
        "In its place: restored beside, compared, and swapped in by name; what ran is kept (docs/restore.md)"
    )
    narrator.environment["CONFIRM"] = narrator.quiet(_CONFIRM).strip()
    narrator.say("Whoever replaces a database confirms which one, on which server, and for this swap alone: $CONFIRM")
    _file(narrator, "63-restore-replace.yaml", "shop-back")
    narrator.type(f'psql "$SHOP" -c "{_ROWS}"')
    narrator.type(f"kubectl get pgrst shop-back {_OLD}")
    _hold_swapped(narrator, servers, "shop-back", {"SafetyBackupTaken", "Quiesced", "Swapped", "WorkloadsResumed"})
    hold(
        narrator, "shop is what it was before it was spoilt", found=contents_of(servers.postgres, "shop"), wanted=whole
    )
    safety = _hold_safety_backup(narrator)
    narrator.chapter("It was the wrong one after all: what ran before is put back as it was")
    narrator.environment["CONFIRM"] = (
        f"{narrator.environment['CONFIRM'].partition('/')[0]}/{narrator.quiet(_LIVE).strip()}"
    )
    _file(narrator, "64-undo.yaml", "shop-back-undone")
    narrator.type(f'psql "$SHOP" -c "{_ROWS}"')
    narrator.type("kubectl get pgrst")
    _hold_swapped(narrator, servers, "shop-back-undone", {"Quiesced", "Swapped", "WorkloadsResumed"})
    hold(narrator, "shop is what ran before", found=contents_of(servers.postgres, "shop"), wanted=spoilt)
    _hold_backups(narrator, safety, "both backups are still there", backups_in_storage(narrator))


def _run_an_application(narrator: Narrator) -> None:
    """Run pods that stand for an application, and have the Database name them."""
    narrator.chapter("An application runs on that database; its pods are stopped and started again around a swap")
    narrator.type(f'kubectl create deployment web --image="$IMAGE" --replicas={_REPLICAS} -- timeout 1d sleep 1d')
    workloads = '{"spec":{"workloads":[{"kind":"Deployment","name":"web"}]}}'
    narrator.type(f"kubectl patch pgdb shop --type merge -p '{workloads}'")
    narrator.type("kubectl rollout status deployment/web --timeout=60s")


def _hold_swapped(narrator: Narrator, servers: Servers, request: str, said: set[str]) -> None:
    """Hold the *request* against the cluster and the server: what it *said*, its workloads, and the database that it put away."""
    narrator.type("kubectl rollout status deployment/web --timeout=60s")
    body = in_cluster(narrator, "pgrst", request)
    wanted = dict.fromkeys({"Succeeded", *said}, "True")
    hold(narrator, f"{request} says {', '.join(sorted(wanted))}", found=verdicts(body, wanted), wanted=wanted)
    remembered = [{"kind": "Deployment", "name": "web", "replicas": _REPLICAS, "resumed": True}]
    hold(narrator, "status remembers the replicas of web", found=body["status"]["workloads"], wanted=remembered)
    ready = in_cluster(narrator, "deployment", "web")["status"].get("readyReplicas")
    hold(narrator, "web has them again", found=ready, wanted=_REPLICAS)
    old = body["status"]["oldDatabase"]["name"]
    shut = servers.postgres.execute(f"select datallowconn from pg_database where datname = '{old}'")  # noqa: S608 - our own name
    hold(narrator, "the database that was put away is there, and shut", found=shut, wanted=[(False,)])


def _hold_safety_backup(narrator: Narrator) -> str:
    """Hold the list of backups against the request: the one that was taken of what ran is among them; returns its name."""
    name = in_cluster(narrator, "pgrst", "shop-back")["status"]["safetyBackup"]["name"]
    narrator.say("Beside the one that was restored lies the one that was taken of what ran, before it was replaced")
    narrator.type("kubectl get backups")
    narrator.type("dbcustody backups list")
    _hold_backups(narrator, name, "the safety backup is among the Backups, and good", backups_in_cluster(narrator))
    _hold_backups(narrator, name, "and lies in the bucket", backups_in_storage(narrator))
    return name


def _hold_backups(narrator: Narrator, safety: str, claim: str, listed: dict[str, bool]) -> None:
    """Hold that *safety* and the restored backup are *listed* as good.

    Retention lets the data of an older one go meanwhile; its Backup was made by a person, and stays.
    """
    wanted = {safety: True, "third": True}
    hold(narrator, claim, found={name: good for name, good in listed.items() if name in wanted}, wanted=wanted)


def _file(narrator: Narrator, example: str, name: str) -> None:
    change = "s/shop-before-upgrade/third/; s|shop@[0-9/]*|$CONFIRM|"
    narrator.type(f'sed "{change}" examples/{example} | kubectl create -f -')
    narrator.watch("kubectl get restorerequests -w", lambda line: is_over(line, name), timeout_seconds=240)
