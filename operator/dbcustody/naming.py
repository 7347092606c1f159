"""Names, labels and annotations, so that the same wish always leads to the same object.

Child names are deterministic: whoever asks twice finds the first answer (`409 AlreadyExists` is success after comparing the owner's uid).
"""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

GROUP: Final = "dbcustody.dev"
VERSION: Final = "v1"
API_VERSION: Final = f"{GROUP}/{VERSION}"
FINALIZER: Final = f"{GROUP}/finalizer"
FIELD_MANAGER: Final = "dbcustody"

LABEL_DATABASE: Final = f"{GROUP}/database"
LABEL_STORAGE: Final = f"{GROUP}/storage"
LABEL_POLICY: Final = f"{GROUP}/policy"
LABEL_BACKUP: Final = f"{GROUP}/backup"
LABEL_REQUEST: Final = f"{GROUP}/request"
LABEL_VERB: Final = f"{GROUP}/verb"
LABEL_OWNER_KIND: Final = f"{GROUP}/owner-kind"
LABEL_OWNER_NAME: Final = f"{GROUP}/owner-name"
LABEL_MIGRATION_SOURCE: Final = f"{GROUP}/migration-source"
"""On a ConfigMap whose files are migrations; its value says nothing."""
LABEL_MANAGED_BY: Final = "app.kubernetes.io/managed-by"

ANNOTATION_CHECK_NOW: Final = f"{GROUP}/check-now"
ANNOTATION_CONFIRM_PRUNE: Final = f"{GROUP}/confirm-prune"
ANNOTATION_REQUESTED_BY: Final = f"{GROUP}/requested-by"
"""Who created a request: written by an admission policy of the chart, and by nobody else while that is there."""
ANNOTATION_OVERRIDE_FREEZE: Final = f"{GROUP}/override-freeze"
ANNOTATION_LEASE_TRANSITIONS: Final = f"{GROUP}/lease-transitions"

MAX_NAME_LENGTH: Final = 63
MAX_SCHEDULED_NAME_LENGTH: Final = 52
"""CronJob names: Kubernetes appends `-` and up to ten digits for the Job's name."""

_DNS_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")
_DIGEST_LENGTH = 10


def is_dns_label(name: str) -> bool:
    """Return whether *name* is a DNS label of RFC 1123, at most 63 characters."""
    return len(name) <= MAX_NAME_LENGTH and _DNS_LABEL.fullmatch(name) is not None


def child_name(owner_name: str, *work: str, limit: int = MAX_NAME_LENGTH) -> str:
    """Return a name for the child that does *work* for *owner_name*: readable in front, unique behind.

    *work* is everything that makes the child a different one (owner's uid, verb, generation or plan hash, ordinal).
    The name is a DNS label of at most *limit* characters; equal arguments give equal names.
    """
    digest = hashlib.sha256("\x00".join((owner_name, *work)).encode()).hexdigest()[:_DIGEST_LENGTH]
    front = owner_name[: limit - _DIGEST_LENGTH - 1].replace(".", "-").rstrip("-")
    return f"{front}-{digest}"


def label_value(text: str) -> str:
    """Return *text* as a label value: itself when it fits 63 characters, else cut with a digest behind."""
    return text if len(text) <= MAX_NAME_LENGTH else child_name(text)


def default_custody_id(namespace: str, name: str) -> str:
    """Return the identity under which a Database's data lies in every storage unless `spec.custodyId` says otherwise."""
    return f"{namespace}.{name}"


def named(names: Sequence[str], most: int, *, separator: str = ", ", rest: str = "more") -> str:
    """Return *names* in a sentence: the first *most* of them, and how many there are besides."""
    more = f" and {len(names) - most} {rest}" if len(names) > most else ""
    return separator.join(names[:most]) + more
