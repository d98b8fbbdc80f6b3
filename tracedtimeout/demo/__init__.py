"""A small shop under load, to watch timeouts in: ``python -m tracedtimeout.demo``."""
