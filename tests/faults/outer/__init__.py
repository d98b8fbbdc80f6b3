"""Every line of what stands around the core: observers, doors, collectors, `install()` and its undoing.

Each room is a part of the package with the scenes that come to its lines. A trial strikes one line, once, in telemetry
that is all installed and all fresh; then it looks at what is left, and plays the scene again. See `trial`.
"""
