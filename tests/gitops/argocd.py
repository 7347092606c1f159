"""What Argo CD makes of a resource, by the rules that its documentation gives, so that the scripts which we ship can be asked without it.

A port in our own words: Lua 5.1 with the base and `table` alone, a resource that is being deleted, hooks, sync waves, and actions.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from lupa import lua51

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

FOLDER: Final = Path(__file__).parents[2] / "deploy" / "argocd" / "resource_customizations" / "dbcustody.dev"
HOOK_FINALIZER: Final = "argocd.argoproj.io/hook-finalizer"
BASE: Final = {
    *("_G", "_VERSION", "assert", "error", "getfenv", "getmetatable", "ipairs", "next", "pairs", "pcall", "print"),
    *("rawequal", "rawget", "rawset", "select", "setfenv", "setmetatable", "tonumber", "tostring", "type", "unpack"),
    *("xpcall", "table"),
}
"""What a script finds; Argo CD gives `require` too, for a clock, and only actions need that."""

Body = dict[str, Any]


class Health(StrEnum):
    """The words of a health check."""

    HEALTHY = "Healthy"
    SUSPENDED = "Suspended"
    PROGRESSING = "Progressing"
    MISSING = "Missing"
    DEGRADED = "Degraded"
    UNKNOWN = "Unknown"


class Phase(StrEnum):
    """How a sync, or one of its tasks, stands."""

    RUNNING = "Running"
    SUCCEEDED = "Succeeded"
    FAILED = "Failed"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a health check said."""

    health: Health
    message: str = ""


class Sandbox:
    """One Lua as Argo CD starts it for a script."""

    def __init__(self, *, clock: datetime | None = None) -> None:
        self._lua = lua51.LuaRuntime(register_eval=False, register_builtins=False)
        date = self._lua.eval("os.date")
        self._lua.execute("getmetatable('').__index = nil")  # the library of strings is one of those that are not there
        for name in [name for name in self._lua.globals() if name not in BASE]:
            self._lua.globals()[name] = None
        if clock is not None:
            self._lua.globals().require = self._clock(date, int(clock.timestamp()))

    def _clock(self, date: Any, seconds: int) -> Any:
        make = self._lua.eval(
            "function(date, seconds) return function(name) assert(name == 'os', name .. ' is not there')"
            " return { time = function() return seconds end, date = function(f) return date(f, seconds) end } end end"
        )
        return make(date, seconds)

    @property
    def names(self) -> set[str]:
        """What is global."""
        return set(self._lua.globals())

    def run(self, script: str, body: Mapping[str, Any]) -> Any:
        """Return what *script* returns of the resource *body*, as JSON; raises lua51.LuaError when it breaks."""
        self._lua.globals().obj = self._lua.table_from(body, recursive=True)
        return plain(self._lua.execute(script))


def plain(value: Any) -> Any:
    """Return a value of Lua as JSON; a table without keys is a list, because nobody can tell."""
    if lua51.lua_type(value) != "table":
        return value
    keys = list(value)
    if keys == list(range(1, len(keys) + 1)):
        return [plain(value[key]) for key in keys]
    return {key: plain(value[key]) for key in keys}


@cache
def script_of(path: str) -> str:
    """Return the script at *path* below our folder."""
    return (FOLDER / path).read_text()


@cache
def _sandbox() -> Sandbox:
    return Sandbox()


def health_of(body: Mapping[str, Any], script: str | None = None) -> Verdict:
    """Return the health of *body*; what breaks, or answers with another word, is Unknown."""
    about = body["metadata"]
    if about.get("deletionTimestamp") and HOOK_FINALIZER not in about.get("finalizers", ()):
        return Verdict(Health.PROGRESSING, "Pending deletion")
    try:
        found = _sandbox().run(script or script_of("_/health.lua"), body)
    except lua51.LuaError as error:
        return Verdict(Health.UNKNOWN, str(error))
    if not isinstance(found, dict) or found.get("status") not in list(Health):
        return Verdict(Health.UNKNOWN, "no valid health status")
    return Verdict(Health(found["status"]), found.get("message", ""))


def hook_phase(health: Health | None) -> Phase:
    """Return what a hook of *health* does to a sync; None: Argo CD has no health check for the kind, and takes it for done at once."""
    if health in {None, Health.HEALTHY}:
        return Phase.SUCCEEDED
    return Phase.FAILED if health in {Health.DEGRADED, Health.UNKNOWN} else Phase.RUNNING


def task_phase(health: Health) -> Phase:
    """Return what a resource of *health* does to a sync of several waves."""
    return {Health.HEALTHY: Phase.SUCCEEDED, Health.DEGRADED: Phase.FAILED}.get(health, Phase.RUNNING)


@dataclass(slots=True)
class Sync:
    """One sync: the names of each wave, in order. A task that is done is not looked at again, and the last wave is not waited for."""

    waves: Sequence[Sequence[str]]
    hooks: frozenset[str] = frozenset()
    applied: int = 1
    """How many waves were applied."""
    done: set[str] = field(default_factory=set)
    phase: Phase = Phase.RUNNING

    def look(self, live: Mapping[str, Body]) -> Phase:
        """Go on as far as what is *live* allows."""
        if self.phase is not Phase.RUNNING:
            return self.phase
        waiting = [name for name in self.waves[self.applied - 1] if name not in self.done]
        phases = {name: self._phase_of(name, live[name]) for name in waiting}
        self.done |= {name for name, phase in phases.items() if phase is Phase.SUCCEEDED}
        if Phase.RUNNING in phases.values():
            return self.phase
        if Phase.FAILED in phases.values():
            self.phase = Phase.FAILED
            return self.phase
        self.applied += 1
        if self.applied == len(self.waves) and not self.hooks & set(self.waves[-1]):
            self.phase = Phase.SUCCEEDED
        return self.phase

    def _phase_of(self, name: str, body: Body) -> Phase:
        health = health_of(body).health
        return hook_phase(health) if name in self.hooks else task_phase(health)


def discovered(body: Mapping[str, Any]) -> dict[str, bool]:
    """Return the actions of the policy *body*, and whether each can be clicked."""
    found = Sandbox().run(script_of("BackupPolicy/actions/discovery.lua"), body)
    return {name: not about.get("disabled", False) for name, about in found.items()}


def act(body: Body, action: str, clock: datetime) -> list[tuple[str, Body]]:
    """Return what *action* on the policy *body* does: operations and resources. An object alone is the patch of the source itself."""
    found = Sandbox(clock=clock).run(script_of(f"BackupPolicy/actions/{action}/action.lua"), body)
    if isinstance(found, list):
        return [(one["operation"], one["resource"]) for one in found]
    return [("patch", _mended(found, body))]


def _mended(new: Any, old: Any) -> Any:
    """Return *new* with the empty mappings of *old* as mappings again."""
    if isinstance(old, dict):
        return old if new == [] else {key: _mended(one, old.get(key)) for key, one in new.items()}
    if isinstance(old, list) and isinstance(new, list):
        return [_mended(one, old[at] if at < len(old) else None) for at, one in enumerate(new)]
    return new
