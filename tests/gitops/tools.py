"""Every tool's answer to the one question of whoever waits: whether it is done, has failed, or goes on."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Any

from tests.gitops.argocd import Health, health_of
from tests.gitops.flux import Flux, flux_of
from tests.gitops.kstatus import KStatus, kstatus_of

if TYPE_CHECKING:
    from collections.abc import Mapping


class Answer(StrEnum):
    """What follows for whoever waits."""

    DONE = "Done"
    FAILED = "Failed"
    WAITS = "Waits"
    PERSON = "Person"
    """It waits, and says that it waits for a person; only Argo CD has a word for that."""


_ARGO = {Health.HEALTHY: Answer.DONE, Health.DEGRADED: Answer.FAILED, Health.SUSPENDED: Answer.PERSON}
_FLUX = {Flux.CURRENT: Answer.DONE, Flux.FAILED: Answer.FAILED}
_KSTATUS = {KStatus.CURRENT: Answer.DONE, KStatus.FAILED: Answer.FAILED}


def argo(body: Mapping[str, Any]) -> Answer:
    """Return Argo CD's answer; a script that breaks is none, and must not hide behind waiting."""
    verdict = health_of(body)
    assert verdict.health is not Health.UNKNOWN, verdict
    return _ARGO.get(verdict.health, Answer.WAITS)


def flux(body: Mapping[str, Any]) -> Answer:
    """Return Flux's answer with our expressions."""
    return _FLUX.get(flux_of(body), Answer.WAITS)


def kstatus(body: Mapping[str, Any]) -> Answer:
    """Return the answer of kstatus."""
    return _KSTATUS.get(kstatus_of(body), Answer.WAITS)


def answers(body: Mapping[str, Any]) -> tuple[Answer, Answer, Answer]:
    """Return the answers of Argo CD, Flux and kstatus."""
    return argo(body), flux(body), kstatus(body)
