"""`make demo`: the whole story on real parts, with nothing prepared; `--keep` leaves it standing, `--stop` takes that down."""

from __future__ import annotations

import argparse
import signal
import sys
from typing import TYPE_CHECKING, Final, NoReturn

from demo import firstact, fourthact, kept, secondact, thirdact
from demo.behind import Behind
from demo.narration import CommandFailedError, Narrator, fail
from demo.proof import NotAsToldError
from demo.server import Servers, find_programs
from ground.cache import GroundError
from ground.setup import check_machine

if TYPE_CHECKING:
    from collections.abc import Sequence

CLUSTER: Final = "demo"
_CANCELLED: Final = 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Play the demo; returns 0 when all of it went as told, 1 when something did not, 130 when somebody stopped it."""
    parser = argparse.ArgumentParser(prog="demo", description="The user's story on real parts.")
    parser.add_argument("--keep", action="store_true", help="leave cluster and servers standing")
    parser.add_argument("--stop", action="store_true", help="stop what --keep left")
    options = parser.parse_args(arguments)
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        if kept.stop() or options.stop:
            print("what the last demo left was taken down", flush=True)
        return 0 if options.stop else _play(keep=options.keep)
    except (CommandFailedError, NotAsToldError, GroundError, AssertionError) as error:
        fail(error)
        return 1
    except KeyboardInterrupt:
        fail(KeyboardInterrupt("somebody interrupted it; everything it started was taken down"))
        return _CANCELLED


def _play(*, keep: bool) -> int:
    check_machine()
    narrator = Narrator({"KUBE_EDITOR": "false"})
    programs = find_programs()
    with Behind(CLUSTER) as behind, Servers(programs) as servers:
        if behind.is_first_time:
            narrator.say(
                "First time on this machine: Kubernetes and an image are built behind this first act (12 to 20 minutes on 2 cores)"
            )
        firstact.play(narrator, servers)
        narrator.chapter("Meanwhile, Kubernetes")
        cluster, image = behind.wait(narrator)
        secondact.play(narrator, servers, cluster, image)
        thirdact.play(narrator, servers)
        fourthact.play(narrator, servers)
        narrator.chapter("The end")
        narrator.say(f"All of it was real; it took {narrator.seconds:.0f} s")
        if keep:
            kept.leave(narrator, servers, cluster)
            behind.keep = servers.keep = True
    return 0


def _interrupt(*_: object) -> NoReturn:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
