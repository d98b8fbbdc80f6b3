"""Mutants of the core: one thing in a module changed, which its tests should notice. Imports nothing of the package."""
