"""Exploration: the same typed operations generated, mutated, replayed and compared, on live targets.

``operations`` is the vocabulary, ``model`` says what the specification allows in return, ``executor`` plays
operations against a target and compares, ``machines`` generates them, ``campaign`` runs it all for a while.
"""
