"""Dashboards and rules as code: ``python -m dashboards`` writes the committed JSON and YAML anew."""
