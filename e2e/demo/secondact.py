"""Second act: the same database in the custody of the operator, on a real Kubernetes, told with the commands that a user types."""

from __future__ import annotations

import base64
import json
import os
from typing import TYPE_CHECKING, Final

from demo.proof import backups_in_cluster, backups_in_storage, contents_of, hold, in_cluster, names_in, verdicts
from demo.server import BUCKET
from ground import helm
from scene.api import Api
from scene.deployment import Deployment

if TYPE_CHECKING:
    from demo.narration import Narrator
    from demo.server import Servers
    from ground.image import Image
    from ground.kubernetes import Cluster
    from ground.s3 import S3Server

_OPERATOR: Final = "dbcustody"
_KEEP_TWO: Final = '{"spec":{"retention":{"keepLast":2,"keepDaily":0,"keepWeekly":0,"keepMonthly":0}}}'
_TWO_LEFT: Final = "backup.dbcustody.dev/second backup.dbcustody.dev/third\n"
"""Followed by the end of the line, preceded by nothing: the first one's name would sort between them."""
_MESSAGE: Final = '-o jsonpath=\'{.status.conditions[?(@.type=="Connected")].message}{"\\n"}\''
_NAMES: Final = "select current_database(), count(*) as customers, count(distinct full_name) as names from customers"
_SECRET: Final = (
    "kubectl create secret generic shop-database --from-literal=host=postgres.shop.svc --from-literal=port=5432 "
    "--from-literal=dbname=shop --from-literal=username=shop --from-literal=password="
)


def play(narrator: Narrator, servers: Servers, cluster: Cluster, image: Image) -> None:
    """Play it; raises CommandFailedError when something goes otherwise, and NotAsToldError when it did not bring what it shows."""
    narrator.chapter("A Kubernetes of one machine is up; PostgreSQL and an S3 server stand beside it")
    servers.open_to(cluster)
    s3 = servers.start_s3(cluster)
    narrator.environment |= {
        **cluster.environment,
        "PATH": f"{cluster.environment['PATH'].split(':')[0]}:{narrator.environment['PATH']}",
        "IMAGE": image.reference,
        "PASSWORD": servers.postgres.password,
        "S3_SECRET": s3.secret_key,
        "KEY": base64.b64encode(os.urandom(32)).decode(),
    }
    cluster.kubectl("apply", "-f", "-", stdin=neighbours(cluster, servers, s3))
    narrator.type("kubectl get nodes")
    _install(narrator)
    _describe_the_wish(narrator, servers, s3)
    _first_backup(narrator)
    _look_into_the_bucket(narrator, servers, s3)
    _kill_and_prune(narrator, cluster, image)
    _restore_beside(narrator, servers)


def neighbours(cluster: Cluster, servers: Servers, s3: S3Server) -> str:
    """Return the Services by which the examples call the servers beside the cluster: names for addresses, nothing else."""
    items = []
    for namespace, name, port, real in (
        ("shop", "postgres", 5432, servers.postgres.port),
        ("storage", "s3", 9000, s3.port),
    ):
        labels = {"kubernetes.io/service-name": name}
        items += [
            {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}},
            {
                "apiVersion": "v1",
                "kind": "Service",
                "metadata": {"name": name, "namespace": namespace},
                "spec": {"ports": [{"port": port, "targetPort": real}]},
            },
            {
                "apiVersion": "discovery.k8s.io/v1",
                "kind": "EndpointSlice",
                "metadata": {"name": f"{name}-1", "namespace": namespace, "labels": labels},
                "addressType": "IPv4",
                "endpoints": [{"addresses": [cluster.network.machine_address]}],
                "ports": [{"port": real}],
            },
        ]
    return json.dumps({"apiVersion": "v1", "kind": "List", "items": items})


def _install(narrator: Narrator) -> None:
    narrator.chapter("Install the operator")
    narrator.say(
        f"IMAGE={narrator.environment['IMAGE']}   (built a moment ago and loaded onto the node; in your cluster: from your registry)"
    )
    image = "--set image.repository=${IMAGE%:*},image.tag=${IMAGE##*:}"
    flags = f"dbcustody charts/dbcustody -n {_OPERATOR} --create-namespace {image} --set 'scaleNamespaces={{default}}'"
    narrator.type(f"{helm.program()} install {flags}", shown=f"helm install {flags}")


def _describe_the_wish(narrator: Narrator, servers: Servers, s3: S3Server) -> None:
    narrator.chapter("Say which database, and where to; with a wrong password, to begin with")
    narrator.say("examples/1*.yaml as commands, because this shop's addresses and keys were made a moment ago")
    narrator.type(f"{_SECRET}wrong")
    narrator.type(
        f"kubectl create secret generic backup-s3 --from-literal=AWS_ACCESS_KEY_ID={s3.access_key} "
        '--from-literal=AWS_SECRET_ACCESS_KEY="$S3_SECRET"'
    )
    narrator.type('kubectl create secret generic backup-keyring --from-literal=k2026="$KEY"')
    narrator.type(
        f"kubectl create secret generic s3-ca --from-file=ca.crt={servers.authority.path}",
        shown="kubectl create secret generic s3-ca --from-file=ca.crt",
    )
    narrator.type("kubectl apply -f examples/20-database.yaml")
    narrator.type("sed 's|# caSecretRef|caSecretRef|' examples/30-storage-s3.yaml | kubectl apply -f -")
    narrator.type(f"kubectl -n {_OPERATOR} rollout status deployment/dbcustody-operator --timeout=120s")
    narrator.until(f"kubectl get pgdb shop {_MESSAGE}", "password")
    narrator.type("kubectl get pgdb,pgstore")
    narrator.say("What is wrong?")
    narrator.type(f"kubectl get pgdb shop {_MESSAGE}")
    told = verdicts(in_cluster(narrator, "pgdb", "shop"), {"Connected", "Ready"})
    hold(narrator, "status does not pretend", found=told, wanted={"Connected": "False", "Ready": "False"})
    narrator.say(
        "The Secret is corrected, and nothing else is touched: the operator cannot even read it, its Jobs look again by themselves"
    )
    narrator.type(f'{_SECRET}"$PASSWORD" --dry-run=client -o yaml | kubectl apply -f - 2>/dev/null')
    narrator.watch(
        "kubectl get pgdb -w", lambda line: line.startswith("shop") and " True " in f"{line} ", timeout_seconds=90
    )
    narrator.until("kubectl get pgstore main", "True")


def _first_backup(narrator: Narrator) -> None:
    narrator.chapter("A policy: every night, and once at once")
    narrator.type("kubectl apply -f examples/40-policy.yaml")
    narrator.watch("kubectl get backups -w", lambda line: is_over(line, "shop-nightly"))
    narrator.type("kubectl get pgdb,pgstore,pgbp")
    narrator.type("kubectl describe backups | sed -n '/^Status:/,$p' | sed -n 1,60p")
    hold(narrator, "it succeeded and is verified", found=list(backups_in_cluster(narrator).values()), wanted=[True])


def is_over(line: str, name: str) -> bool:
    """Return whether *line* of `kubectl get backups -w` says that the backup whose name begins with *name* is good; PROGRESS says Done."""
    words = line.split()
    return len(words) > 1 and words[0].startswith(name) and words[1] == "True"


def _look_into_the_bucket(narrator: Narrator, servers: Servers, s3: S3Server) -> None:
    narrator.chapter("What lies in the bucket, seen by the command line")
    del servers
    narrator.environment |= {
        "BACKUP_S3_ENDPOINT": s3.url,
        "BACKUP_S3_BUCKET": BUCKET,
        "BACKUP_S3_PREFIX": "postgres",
        "BACKUP_S3_ACCESS_KEY_ID": s3.access_key,
        "BACKUP_S3_SECRET_ACCESS_KEY": s3.secret_key,
        "BACKUP_S3_CA_FILE": str(s3.ca),
        "BACKUP_ENCRYPTION_KEY": narrator.environment["KEY"],
        "BACKUP_ENCRYPTION_KEY_ID": "k2026",
        "DBCUSTODY_CUSTODY_ID": "default.shop",
        "BACKUP_DIR": "",
    }
    for key in s3.keys(BUCKET):
        narrator.say(f"  {key}")
    narrator.type("dbcustody backups list")
    _hold_lists_equal(narrator)


def _kill_and_prune(narrator: Narrator, cluster: Cluster, image: Image) -> None:
    narrator.chapter("Keep two; two more backups at once, and kill -9 for the operator in the middle of it")
    narrator.type(f"kubectl patch pgbp shop-nightly --type merge -p '{_KEEP_TWO}'")
    for name in ("second", "third"):
        narrator.type(f"sed s/shop-before-upgrade/{name}/ examples/50-backup.yaml | kubectl create -f -")
    narrator.until("kubectl get pgbak -o jsonpath='{.items[*].status.progress.stage}'", "Dumping", timeout_seconds=60)
    api = Api(cluster)
    try:
        leader = Deployment(cluster, api, image).kill_leader()
    finally:
        api.close()
    narrator.show(f"kill -9 $(pidof dbcustody)        # on the node: {leader}, which leads")
    left = {"second", "third"}

    def are_over(line: str) -> bool:
        left.difference_update([name for name in left if is_over(line, name)])
        return not left

    narrator.watch("kubectl get backups -w", are_over)
    narrator.type(f"kubectl -n {_OPERATOR} get pods")
    narrator.say(
        "One dump at a time, nothing lost, nothing done twice: the work is a Job's, the operator only looks on"
    )
    narrator.chapter("Retention let the oldest go, and never lets the last good one go")
    narrator.until("kubectl get backups -o name | sort | xargs", _TWO_LEFT, timeout_seconds=90)
    narrator.type("kubectl get backups,pgbp -o wide")
    narrator.type("dbcustody backups list")
    _hold_lists_equal(narrator)
    attempts = [in_cluster(narrator, "pgbak", name)["status"]["attempts"] for name in ("second", "third")]
    hold(narrator, "neither needed a second attempt", found=list(map(len, attempts)), wanted=[1, 1])


def _hold_lists_equal(narrator: Narrator) -> None:
    """Hold what the cluster tells of backups against what the bucket has."""
    there = backups_in_storage(narrator)
    hold(
        narrator,
        "the cluster tells of the backups that lie in the bucket",
        found=backups_in_cluster(narrator),
        wanted=there,
    )
    hold(narrator, "all of them are good", found=set(there.values()), wanted={True})


def _restore_beside(narrator: Narrator, servers: Servers) -> None:
    """Lose data, bring a backup back beside the running database, and compare both."""
    narrator.chapter(
        "Somebody forgets the WHERE of an UPDATE; a backup comes back beside the database (docs/restore.md)"
    )
    narrator.environment |= {"SHOP": servers.postgres.url("shop"), "RESTORED": servers.postgres.url("shop_yesterday")}
    whole = contents_of(servers.postgres, "shop")
    narrator.type('psql "$SHOP" -c "update customers set full_name = \'Bob\'"')
    spoilt = contents_of(servers.postgres, "shop")
    hold(narrator, "one name is left of all", found=names_in(servers.postgres), wanted=1)
    narrator.say("A role that may make databases, and only Jobs that restore are given its Secret")
    narrator.type(
        f'{_SECRET.replace("shop-database", "shop-restorer").replace("username=shop", "username=postgres")}"$PASSWORD"'
    )
    narrator.type(
        "kubectl patch pgdb shop --type merge "
        '-p \'{"spec":{"roles":{"restore":{"secretRef":{"name":"shop-restorer"}}}}}\''
    )
    narrator.type("sed s/shop-before-upgrade/third/ examples/60-restore.yaml | kubectl create -f -")
    narrator.watch("kubectl get restorerequests -w", lambda line: is_over(line, "shop-yesterday"))
    narrator.type("kubectl get pgrst shop-yesterday -o jsonpath='{.status.checks}{\"\\n\"}'")
    for url in ("SHOP", "RESTORED"):
        narrator.type(f'psql "${url}" -c "{_NAMES}"')
    restored = contents_of(servers.postgres, "shop_yesterday")
    hold(narrator, "the copy is the shop as it was, row for row", found=restored, wanted=whole)
    hold(narrator, "the running database was not touched", found=contents_of(servers.postgres, "shop"), wanted=spoilt)
