"""The version of the package, where it costs an import nothing: telemetry carries it."""

VERSION = "0.1.0"
