"""Fourth act: a dangerous migration is stopped; a safe one is backed up, agreed to, carried out, survives a kill, and is undone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from demo.proof import hold, in_cluster, verdicts

if TYPE_CHECKING:
    from demo.narration import Narrator
    from demo.server import Servers

_SAFE: Final = "20260201_090000_newsletter"
_DANGEROUS: Final = "20260202_090000_tidy"
_SLOW: Final = "20260203_090000_everybody"
_FILES: Final = {
    f"{_SAFE}.sql": "create table newsletter (customer bigint primary key references customers, since date not null);",
    f"{_SAFE}.down.sql": "drop table newsletter;",
    f"{_DANGEROUS}.sql": "alter table customers drop column preferences;",
    f"{_SLOW}.sql": "select pg_sleep(15); insert into newsletter select id, current_date from customers;",
    f"{_SLOW}.down.sql": "truncate newsletter;",
}
_LEDGER: Final = "select a.name, a.direction, o.state from dbcustody.attempt a join dbcustody.outcome o on o.attempt = a.id order by o.id"
_RESOURCE: Final = """
apiVersion: dbcustody.dev/v1
kind: DatabaseMigration
metadata: {name: shop}
spec:
  databaseRef: {name: shop}
  source: {configMapRefs: [{name: shop-migrations}]}
  policy: {allowDowngrade: true}
  gates: {backup: {policyRef: {name: shop-nightly}, maxAgeSeconds: 60, takeNew: true}}
  approval: {planHash: '0000'}
"""
_WORD: Final = "-o jsonpath='{.status.conditions[?(@.type==\"%s\")].reason}'"
_HASH: Final = "kubectl get pgmig shop -o jsonpath='{.status.plan.hash}'"


def play(narrator: Narrator, servers: Servers) -> None:
    """Play it; raises CommandFailedError when something goes otherwise, and NotAsToldError when it did not bring what it shows."""
    narrator.chapter("Migrations: a dangerous one is stopped before anything runs (docs/migrations.md)")
    _publish(narrator, _SAFE, _DANGEROUS)
    narrator.type(f"kubectl create -f - <<'EOF'{_RESOURCE}EOF", shown="kubectl create -f examples/80-migrations.yaml")
    _await(narrator, "LintPassed", "LintFailed")
    narrator.type("kubectl dbcustody plan shop", expect=3)
    there = servers.postgres.execute("select to_regclass('newsletter')::text", database="shop")
    hold(narrator, "nothing of it ran", found=there, wanted=[(None,)])
    _carry_out_the_safe_one(narrator, servers)
    _kill_one(narrator, servers)
    _go_back(narrator, servers)


def _carry_out_the_safe_one(narrator: Narrator, servers: Servers) -> None:
    narrator.chapter("Without it: a reviewed commit names the plan, a backup is taken, and it is carried out")
    _publish(narrator, _SAFE)
    _agree(narrator)
    _await_current(narrator, _SAFE)
    narrator.type("kubectl get pgmig")
    body = in_cluster(narrator, "pgmig", "shop")
    wanted = dict.fromkeys(("LintPassed", "Approved", "BackupReady", "Applied", "DriftFree"), "True")
    hold(narrator, "it says so", found=verdicts(body, wanted), wanted=wanted)
    before = body["status"]["backup"]
    said = verdicts(in_cluster(narrator, "pgbak", before["name"]), {"Verified"})
    hold(narrator, f"Backup {before['name']} at {before['lsn']} was verified", found=said, wanted={"Verified": "True"})
    hold(narrator, "the ledger has it", found=_ledger(servers)[-1], wanted=(_SAFE, "Up", "Applied"))


def _kill_one(narrator: Narrator, servers: Servers) -> None:
    narrator.chapter("The next one works for 15 s, and its pod is killed in the middle")
    _publish(narrator, _SAFE, _SLOW)
    _agree(narrator)
    narrator.until(
        "kubectl get pgmig shop -o jsonpath='{.status.progress.summary}'", f"{_SLOW}: runs", timeout_seconds=90
    )
    narrator.type(
        "kubectl delete pod -l batch.kubernetes.io/job-name=$(kubectl get pgmig shop -o jsonpath='{.status.run.jobName}')"
        " --grace-period=0 --force 2>/dev/null"
    )
    _await_current(narrator, _SLOW)
    narrator.type(f'psql "$SHOP" -c "{_LEDGER}"')
    ended = [state for name, _, state in _ledger(servers) if name == _SLOW]
    hold(narrator, "it failed once, and is in once", found=ended, wanted=["Failed", "Applied"])
    rows = servers.postgres.execute(
        "select (select count(*) from newsletter) = (select count(*) from customers)", database="shop"
    )
    hold(narrator, "each customer is in it once", found=rows, wanted=[(True,)])


def _go_back(narrator: Narrator, servers: Servers) -> None:
    narrator.chapter("It was the wrong idea: back to the one before, by the file that its author wrote for that")
    patch = f'{{"spec":{{"targetRevision":"{_SAFE}"}}}}'
    narrator.type(f"kubectl patch pgmig shop --type merge -p '{patch}'")
    _agree(narrator)
    _await_current(narrator, _SAFE)
    narrator.type("kubectl dbcustody timeline shop | tail -8")
    hold(narrator, "the ledger has that, too", found=_ledger(servers)[-1], wanted=(_SLOW, "Down", "RolledBack"))
    rows = servers.postgres.execute("select count(*) from newsletter", database="shop")
    hold(narrator, "and the table is empty", found=rows, wanted=[(0,)])


def _publish(narrator: Narrator, *names: str) -> None:
    """Have the ConfigMap hold exactly the migrations *names*, as a GitOps tool would."""
    files = {file: text for file, text in _FILES.items() if file.split(".")[0] in names}
    for file, text in files.items():
        narrator.say(f"  {file}: {text}")
    literals = " ".join(f"--from-literal='{file}={text}'" for file, text in files.items())
    label = "dbcustody.dev/migration-source=shop"
    made = f"kubectl create configmap shop-migrations {literals} --dry-run=client -o yaml"
    command = (
        f"{made} | kubectl label --local -f - {label} -o yaml | kubectl apply --server-side --force-conflicts -f -"
    )
    narrator.type(command, shown="kubectl apply --server-side -f shop-migrations.yaml")


def _agree(narrator: Narrator) -> None:
    """Wait until another plan is told, and name it in the spec, as a reviewed commit does."""
    before = narrator.quiet("kubectl get pgmig shop -o jsonpath='{.spec.approval.planHash}'").strip()
    narrator.until(f"{_HASH}; kubectl get pgmig shop {_WORD % 'Approved'}", "ApprovalPending", timeout_seconds=90)
    found = narrator.quiet(_HASH).strip()
    hold(narrator, "another plan is told, and nothing runs", found=found != before, wanted=True)
    patch = f'{{"spec":{{"approval":{{"planHash":"{found}"}}}}}}'
    narrator.type(f"kubectl patch pgmig shop --type merge -p '{patch}'")


def _await(narrator: Narrator, condition: str, reason: str) -> None:
    narrator.until(f"kubectl get pgmig shop {_WORD % condition}", reason, timeout_seconds=90)


def _await_current(narrator: Narrator, name: str) -> None:
    path = '{.status.currentRevision} {.status.conditions[?(@.type=="Ready")].status}'
    narrator.until(f"kubectl get pgmig shop -o jsonpath='{path}'", f"{name} True", timeout_seconds=180)


def _ledger(servers: Servers) -> list[tuple[str, str, str]]:
    rows = servers.postgres.execute(_LEDGER, database="shop")
    return [(str(name), str(direction), str(state)) for name, direction, state in rows]
