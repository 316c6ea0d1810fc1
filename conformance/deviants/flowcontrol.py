"""Deviants."""
