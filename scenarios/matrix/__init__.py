"""The matrix: every target of a list, judged in turn, on one page.

``targets`` reads the list, ``playing`` starts a target and judges it, ``page`` puts the reports together.
"""
