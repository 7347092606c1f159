"""Speed and memory, measured as ratios within one run on the machine at hand; never a test, because a loaded machine proves nothing."""
