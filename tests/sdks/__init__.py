"""Clients of language models and of MCP, for real; what they need is in the extra `sdks`, and .ci/sdks installs it."""
