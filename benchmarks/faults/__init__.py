"""What may go wrong with a run, done to one on purpose."""
