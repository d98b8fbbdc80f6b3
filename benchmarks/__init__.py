"""What a timeout costs, beside the one that it replaces and those that others offer."""
