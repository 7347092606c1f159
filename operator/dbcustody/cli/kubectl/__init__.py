"""`kubectl dbcustody`: what a person asks of the operator, by the API server alone; no database and no bucket is opened here."""
