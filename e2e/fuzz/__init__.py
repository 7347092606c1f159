"""Changed documents for every reader of the format and of the contract: `make fuzz`; see docs/fuzzing.md."""
