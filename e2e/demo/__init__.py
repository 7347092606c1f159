"""The user's story on real parts, with nothing prepared: what `make demo` shows."""
