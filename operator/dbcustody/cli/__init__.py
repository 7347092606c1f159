"""The command line: one tool, two uses; the only place that knows both doors."""
