"""Retries, databases and pools under cancellation; what they need is in the extra `databases`."""
