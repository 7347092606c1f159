"""`python -m ground setup | up | down | image`: the test ground by hand."""

from __future__ import annotations

import argparse
import os
import sys

from ground.cache import GroundError, say


def main() -> int:
    """Do what the command line asks for; returns the exit status."""
    parser = argparse.ArgumentParser(prog="ground", description="The test ground: real servers on one machine.")
    verbs = parser.add_subparsers(dest="verb", required=True)
    setup = verbs.add_parser("setup", help="install and build everything that is missing")
    setup.add_argument("--without-cluster", action="store_true", help="only what the tests without Kubernetes need")
    for verb, help_text in (("up", "start a cluster and leave it"), ("down", "stop a cluster without a trace")):
        by_name = verbs.add_parser(verb, help=help_text)
        by_name.add_argument("name", nargs="?", default="hand")
        by_name.add_argument("--provider", choices=["own", "kind"], default="own", help="kind needs a Docker engine")
    verbs.add_parser("image", help="build the image of dbcustody")
    arguments = parser.parse_args()
    try:
        return _do(arguments)
    except GroundError as error:
        say(f"error: {error}")
        return 1


def _do(arguments: argparse.Namespace) -> int:
    if arguments.verb == "setup":
        from ground.setup import prepare  # noqa: PLC0415 - each verb loads what it needs

        prepare(with_cluster=not arguments.without_cluster)
    elif arguments.verb == "image":
        from ground.image import application_image  # noqa: PLC0415

        print(application_image().reference)
    else:
        change = _change_kind if arguments.provider == "kind" else _change_cluster
        change(arguments.verb, arguments.name)
    return 0


def _change_kind(verb: str, name: str) -> None:
    from ground.kind import KindCluster  # noqa: PLC0415

    cluster = KindCluster(name)
    if verb == "down":
        cluster.stop()
        return
    cluster.start()
    _tell(cluster.environment, f"make cluster-down PROVIDER=kind (or: python -m ground down {name} --provider kind)")


def _change_cluster(verb: str, name: str) -> None:
    from ground.kubernetes import Cluster, take_down  # noqa: PLC0415

    if verb == "down":
        take_down(name)
        return
    with Cluster(name, keep=True) as cluster:
        _tell(cluster.environment, f"make cluster-down (or: python -m ground down {name})")


def _tell(environment: dict[str, str], stopping: str) -> None:
    """Print what a shell needs to use the cluster, and how it is stopped."""
    for variable, value in environment.items():
        print(f"export {variable}={value.removesuffix(os.environ['PATH'])}{'$PATH' if variable == 'PATH' else ''}")
    print(f"# stop it without a trace: {stopping}")


if __name__ == "__main__":
    sys.exit(main())
