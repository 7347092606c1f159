"""`python -m dbcustody` and the `dbcustody` command."""

from __future__ import annotations

from dbcustody.cli.main import main

__all__ = ["main"]

if __name__ == "__main__":
    main()
