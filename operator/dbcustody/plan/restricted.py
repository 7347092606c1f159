"""What no container of ours may do, whoever's image it is of: the part of Kubernetes' `restricted` profile that is said of each container.

The rest is said once for the pod (https://kubernetes.io/docs/concepts/security/pod-security-standards/).
"""

from __future__ import annotations

from typing import Any, Final

RESTRICTED: Final[dict[str, Any]] = {
    "allowPrivilegeEscalation": False,
    "readOnlyRootFilesystem": True,
    "capabilities": {"drop": ["ALL"]},
}
"""The security context of a container; that its root cannot be written is more than the profile asks."""
