"""What lies in a backup storage, as values: names, manifests, facts, catalogue; no byte is read or written here."""
