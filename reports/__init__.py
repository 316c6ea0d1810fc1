"""Verdicts and reports: judge the records of a run, store them, render them.

The package knows the rest of the project only through the JSON forms whose schemas are in
``reports.schemas``.
"""
