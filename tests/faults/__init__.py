"""Faults from outside, at every line: exceptions, collections, exhausted stacks; and what work costs as it grows.

``python -m tests.faults`` prints what the tests here look at: ours beside bare asyncio's. They use the public API, and
find the lines to strike by the folder that they stand in.
"""
