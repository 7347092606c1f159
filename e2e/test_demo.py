"""`make demo` itself: it tells its story to the end, leaves nothing on the machine, and breaks off cleanly wherever it is told to."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from ground import register
from ground.cache import REPOSITORY
from ground.process import wait_until

pytestmark = [pytest.mark.cluster, pytest.mark.slow, pytest.mark.timeout(1200)]
SAFETY = r"shop-back-[0-9a-f]+"
"""The backup of what ran, named after the request that replaced it."""
NAMES = (70_000, 1)
"""How many names the customers have: after everybody's is back, and after that was undone."""
CHECKED = (
    "one backup lies there, and it is good",
    "every table of shop_restored has the rows of shop",
    "the file has the rows of every table",
    "status does not pretend",
    "it succeeded and is verified",
    "the cluster tells of the backups that lie in the bucket",
    "all of them are good",
    "the cluster tells of the backups that lie in the bucket",
    "all of them are good",
    "neither needed a second attempt",
    "one name is left of all",
    "the copy is the shop as it was, row for row",
    "the running database was not touched",
    "shop-back says Quiesced, SafetyBackupTaken, Succeeded, Swapped, WorkloadsResumed",
    "status remembers the replicas of web",
    "web has them again",
    "the database that was put away is there, and shut",
    "shop is what it was before it was spoilt",
    "the safety backup is among the Backups, and good",
    "and lies in the bucket",
    "shop-back-undone says Quiesced, Succeeded, Swapped, WorkloadsResumed",
    "status remembers the replicas of web",
    "web has them again",
    "the database that was put away is there, and shut",
    "shop is what ran before",
    "both backups are still there",
    "nothing of it ran",
    "another plan is told, and nothing runs",
    "it says so",
    "Backup NAME at LSN was verified",
    "the ledger has it",
    "another plan is told, and nothing runs",
    "it failed once, and is in once",
    "each customer is in it once",
    "another plan is told, and nothing runs",
    "the ledger has that, too",
    "and the table is empty",
)
"""What each act holds against the servers and the cluster; one that is not so ends the story."""


def start(*words: str) -> subprocess.Popen[str]:
    """Start the demo as `make demo` does in a terminal: it hears Ctrl-C, also when whoever runs the tests in the background does not."""
    return subprocess.Popen(
        ["env", "--default-signal=INT", sys.executable, "-m", "demo", *words],
        cwd=REPOSITORY,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY / "e2e")},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def left_by(pid: int) -> list[str]:
    """Return what the demo of *pid* left: folders of its servers, and its cluster."""
    owners = {path.parent: path.read_text().split() for path in Path("/tmp").glob("dbcustody-ground-*/owner")}
    folders = [str(folder) for folder, owner in owners.items() if owner and owner[0] == str(pid)]
    cluster = register.cluster_folder("demo")
    return [*folders, *([str(cluster)] if cluster.exists() else [])]


def test_the_story_is_told_to_its_end() -> None:
    """Every chapter comes, no secret is printed, and afterwards the machine is as before."""
    demo = start()
    told, _ = demo.communicate(timeout=1100)

    assert demo.returncode == 0, told[-4000:]
    chapters = re.findall(r"^== (.*?)  \(", told, re.MULTILINE)
    assert [chapter.split()[0] for chapter in chapters][-1] == "The"
    assert len(chapters) >= 11
    for wanted in (
        "backup first: good",
        "Read passed",
        "compared and equal",
        "shop/shop_yesterday",
        "password authentication failed",
        "third",
        "retention",
    ):
        assert wanted in told
    checked = re.findall(r"^checked: (.*)$", told, re.MULTILINE)
    assert tuple(re.sub(r"Backup \S+ at \S+ was", "Backup NAME at LSN was", one) for one in checked) == CHECKED
    assert re.search(rf"^{SAFETY} +True +shop ", told, re.MULTILINE)
    assert re.findall(r"^ shop +\| +(\d+)$", told, re.MULTILINE) == [str(names) for names in NAMES]
    assert "Traceback" not in told
    assert left_by(demo.pid) == []


@pytest.mark.parametrize("when", ["A shop database", "A backup from the command line", "Install the operator"])
def test_it_breaks_off_cleanly(when: str) -> None:
    """Ctrl-C in any act ends it with 130 and takes everything down."""
    demo = start()
    told = ""
    for line in demo.stdout or ():
        told += line
        if line.startswith(f"== {when}"):
            break
    demo.send_signal(signal.SIGINT)
    rest, _ = demo.communicate(timeout=300)

    assert demo.returncode == 130, told + rest
    assert wait_until(lambda: left_by(demo.pid) == [], 5), left_by(demo.pid)


def test_what_is_kept_can_be_used_and_taken_down() -> None:
    """With --keep the printed kubeconfig works after the demo has ended, and --stop leaves nothing."""
    demo = start("--keep")
    told, _ = demo.communicate(timeout=1100)
    exports = re.findall(r"^export \w+=.*$", told[told.index("== The cluster stays") :], re.MULTILINE)
    seen = subprocess.run(
        ["bash", "-c", "; ".join([*exports, "kubectl get backups -o name"])], capture_output=True, text=True, check=True
    )
    stopped = start("--stop")
    stopped.communicate(timeout=300)

    assert demo.returncode == stopped.returncode == 0
    names = seen.stdout.split()
    assert "backup.dbcustody.dev/third" in names
    assert len([name for name in names if re.fullmatch(rf"backup.dbcustody.dev/{SAFETY}", name)]) == 1
    assert left_by(demo.pid) == []
