"""The command line: fits, draws and reports for those who write a model and nothing else."""
