"""What other libraries make of the same data; each script runs in an environment of its own."""
