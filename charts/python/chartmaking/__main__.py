"""`python -m chartmaking [manifest]`: writes the chart's generated parts; `manifest` also renders deploy/install.yaml by Helm."""

from __future__ import annotations

import sys

from chartmaking.files import write


def main() -> int:
    """Write what the command line asks for; returns the exit status."""
    write()
    if sys.argv[1:] == ["manifest"]:
        from chartmaking.manifest import PATH, manifest  # noqa: PLC0415 - only this asks for Helm, which may have to be built

        PATH.write_text(manifest())
    return 0


if __name__ == "__main__":
    sys.exit(main())
