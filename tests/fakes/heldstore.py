"""A storage that hangs in the middle of an object until it is let go."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from dbcustody.adapters.objectstore import VolumeStore

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@dataclass
class Hanging:
    """Holds what is read of *name* once more than half of it was given; *before* is called before any other object of rows is read."""

    name: str
    reached: threading.Event = field(default_factory=threading.Event)
    """Set once it hangs."""
    released: threading.Event = field(default_factory=threading.Event)
    before: Callable[[str], object] = lambda _: None

    def opener(self, folder: Path) -> Callable[[], VolumeStore]:
        """Return what opens the storage in *folder*."""
        return lambda: _HeldStore(folder, self)


class _HeldStore(VolumeStore):
    def __init__(self, root: Path, hanging: Hanging) -> None:
        super().__init__(root)
        self._hanging = hanging

    def stream(self, key: str, *, offset: int = 0) -> Iterator[bytes]:
        """Yield the object; the one that is held hangs behind its middle, however often it is read."""
        is_held = key.endswith(f"/{self._hanging.name}")
        if not is_held:
            self._hanging.before(key)
        position = offset
        for piece in super().stream(key, offset=offset):
            yield piece
            position += len(piece)
            if is_held and 2 * position > (self._root / key).stat().st_size:
                self._hanging.reached.set()
                self._hanging.released.wait()
