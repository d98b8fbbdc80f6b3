"""The core: timeouts, the budget and the numbers, with nothing but the standard library."""
