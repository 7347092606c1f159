"""The chart's generated parts, made from what they must agree with, so that no page and no copy can say something else.

`python -m chartmaking` (or `make chart`) writes them; tests/chart makes them again and compares.
"""
