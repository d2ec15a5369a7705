"""What the core costs, against other ways to compute the same."""
