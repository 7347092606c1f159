"""The operator's door: Kopf wakes us, the plans decide, the Kubernetes API is changed; no database and no bucket is ever touched here."""
