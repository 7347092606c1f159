"""Approval: a second person's word on one plan of one request, by the plan's hash. It is said once and never changed."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from dbcustody.api.condition import Condition
from dbcustody.api.meta import Kind, Metadata, read_metadata
from dbcustody.codec import decode

if TYPE_CHECKING:
    from collections.abc import Mapping


class Approvable(StrEnum):
    """The kinds of requests that can ask for a second person."""

    RESTORE_REQUEST = Kind.RESTORE_REQUEST.value
    DATABASE_MIGRATION = Kind.DATABASE_MIGRATION.value


class Decision(StrEnum):
    """What the person says."""

    APPROVE = "Approve"
    DENY = "Deny"


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestRef:
    """The request that is decided on, in the same namespace."""

    kind: Approvable
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ApprovalSpec:
    """What was decided; nothing of it can be changed later (CEL)."""

    request_ref: RequestRef
    plan_hash: str
    decision: Decision
    reason: str | None = None
    approver: str | None = None
    """Who decided, as the API server knew him; None: no admission policy wrote it down, and the Approval does not count."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ApprovalStatus:
    """What became of it."""

    observed_generation: int = -1
    conditions: tuple[Condition, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Approval:
    """The resource."""

    metadata: Metadata
    spec: ApprovalSpec
    status: ApprovalStatus = field(default_factory=ApprovalStatus)

    @classmethod
    def from_body(cls, body: Mapping[str, Any]) -> Approval:
        """Return the resource that the Kubernetes object *body* describes; raises InvalidSpecError with the field's path."""
        return cls(
            metadata=read_metadata(body),
            spec=decode(ApprovalSpec, body["spec"], "spec"),
            status=decode(ApprovalStatus, body.get("status") or {}, "status"),
        )
