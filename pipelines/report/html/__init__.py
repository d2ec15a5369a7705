"""HTML pages that people pass on: one file each, which needs no network."""
