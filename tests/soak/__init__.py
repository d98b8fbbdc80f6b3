"""Soak: mixed traffic for a while, by real servers that come and go, and what is counted held against a ledger.

`python -m tests.soak` prints what it saw; the tests run half a minute of it.
"""
