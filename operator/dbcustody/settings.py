"""What the operator process is told by its Deployment: read once, checked whole, passed on as a value.

Nothing about databases or storages stands here: that is what resources are for.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from dbcustody.errors import InvalidSpecError
from dbcustody.naming import is_dns_label
from dbcustody.plan.freeze import FreezeWindow, read_windows

if TYPE_CHECKING:
    from collections.abc import Mapping

DEFAULT_PORT: Final = 8080
LARGEST_PORT: Final = 65_535
LEASE_NAME: Final = "dbcustody-operator"
FREEZE_WINDOWS: Final = "DBCUSTODY_FREEZE_WINDOWS"


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """How this process of the operator is set up."""

    image: str
    """The image of every Job; the operator's own."""
    namespace: str
    """Where the Lease lies."""
    identity: str
    """Names this process among the replicas: the pod's name."""
    pod_uid: str = ""
    """Tells this pod from every other; empty outside of one. A container that the kubelet starts again has it again."""
    namespaces: tuple[str, ...] = ()
    """Namespaces that are served; empty means all."""
    freeze_windows: tuple[FreezeWindow, ...] = ()
    """When no restore begins to write."""
    host: str = "0.0.0.0"  # noqa: S104 - probes and scrapes come from outside the pod
    port: int = DEFAULT_PORT
    lease_name: str = LEASE_NAME
    stamps_approvals: bool = False
    """Whether admission policies write down who asks and who approves; without them anybody could write anybody's name."""


def from_environ(variables: Mapping[str, str]) -> Settings:
    """Return the settings that *variables* (the process's environment) hold.

    Raises InvalidSpecError with every problem in one message, a line each.
    """
    problems: list[str] = []
    image = variables.get("DBCUSTODY_IMAGE", "").strip()
    if not image:
        problems.append("DBCUSTODY_IMAGE: is missing; must be the image that Jobs run")
    namespace = variables.get("POD_NAMESPACE", "").strip() or "default"
    namespaces = tuple(filter(None, re.split(r"[,\s]+", variables.get("DBCUSTODY_NAMESPACES", ""))))
    problems.extend(
        f"{name!r}: is no name of a namespace; must be a DNS label"
        for name in (namespace, *namespaces)
        if not is_dns_label(name)
    )
    port = variables.get("DBCUSTODY_PORT", "").strip() or str(DEFAULT_PORT)
    if not re.fullmatch(r"\d{1,5}", port) or int(port) > LARGEST_PORT:
        problems.append("DBCUSTODY_PORT: must be a port from 0 to 65535")
    stamps = variables.get("DBCUSTODY_STAMPED_APPROVALS", "").strip() or "false"
    if stamps not in {"true", "false"}:
        problems.append(
            "DBCUSTODY_STAMPED_APPROVALS: must be true or false; the chart sets it with its admission policies"
        )
    freeze_windows: tuple[FreezeWindow, ...] = ()
    try:
        freeze_windows = read_windows(variables.get(FREEZE_WINDOWS, ""), FREEZE_WINDOWS)
    except InvalidSpecError as error:
        problems.append(error.message)
    if problems:
        raise InvalidSpecError("\n".join(problems))
    return Settings(
        image=image,
        namespace=namespace,
        identity=variables.get("POD_NAME", "").strip() or variables.get("HOSTNAME", "").strip() or "operator",
        pod_uid=variables.get("POD_UID", "").strip(),
        namespaces=namespaces,
        freeze_windows=freeze_windows,
        host=variables.get("DBCUSTODY_HOST", "").strip() or "0.0.0.0",  # noqa: S104 - as above
        port=int(port),
        lease_name=variables.get("DBCUSTODY_LEASE_NAME", "").strip() or LEASE_NAME,
        stamps_approvals=stamps == "true",
    )
