"""Migration files and their history, as values: what a file says, what it will do, what the ledger says of it; nothing is run here."""
