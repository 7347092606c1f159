"""dbcustody takes custody of PostgreSQL databases that it does not run."""

__version__ = "0.1.0"
