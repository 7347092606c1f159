"""The resources as values: what people wrote, parsed, and what we answer, as conditions."""
