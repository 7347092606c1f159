"""Kubernetes' `restricted` profile, as far as a pod of a chart can violate it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

    Json = Any

VOLUMES: Final = frozenset(
    {"configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim", "projected", "secret"}
)


def violations(pod: Json) -> list[str]:
    """Return what the profile forbids of the pod specification *pod*."""
    return [*_of_pod(pod), *(fault for container in _containers(pod) for fault in _of_container(container, pod))]


def _containers(pod: Json) -> Iterator[Json]:
    for kind in ("containers", "initContainers", "ephemeralContainers"):
        yield from pod.get(kind) or ()


def _of_pod(pod: Json) -> Iterator[str]:
    yield from (name for name in ("hostNetwork", "hostPID", "hostIPC") if pod.get(name))
    for volume in pod.get("volumes") or ():
        yield from (f"volume {kind}" for kind in set(volume) - {"name"} - VOLUMES)
    if (pod.get("securityContext") or {}).get("sysctls"):
        yield "sysctls"


def _of_container(container: Json, pod: Json) -> Iterator[str]:
    own, general = container.get("securityContext") or {}, pod.get("securityContext") or {}
    both = {**general, **own}
    capabilities = own.get("capabilities") or {}
    if own.get("privileged"):
        yield "privileged"
    if own.get("allowPrivilegeEscalation") is not False:
        yield "allowPrivilegeEscalation"
    if capabilities.get("drop") != ["ALL"] or set(capabilities.get("add") or ()) - {"NET_BIND_SERVICE"}:
        yield "capabilities"
    if both.get("runAsNonRoot") is not True or both.get("runAsUser") == 0:
        yield "runAsNonRoot"
    if (both.get("seccompProfile") or {}).get("type") not in {"RuntimeDefault", "Localhost"}:
        yield "seccompProfile"
    if any(port.get("hostPort") for port in container.get("ports") or ()):
        yield "hostPort"
