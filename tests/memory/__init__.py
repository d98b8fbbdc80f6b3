"""Memory of the hot path, whichever twin runs: blocks kept, allocations that fail, loops and interpreters that go.

For the compiled twin above all, which `docs/compiled-core.md` says how to build; the Python must pass all of it too.
"""
