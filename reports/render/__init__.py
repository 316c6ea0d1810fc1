"""Reporters: each knows the results and evidence JSON, nothing else."""
