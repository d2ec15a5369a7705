"""Annotated copies of scored videos."""
