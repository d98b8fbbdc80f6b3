"""The cost of a timeout, beside the one that it replaces and those that others offer."""
