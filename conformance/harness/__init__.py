"""The harness: what a case is, how it runs against a target, and what it leaves behind.

``case`` declares cases, ``run`` is what a case sees, ``target`` knows how to reach the target,
``runner`` plays the positive twin, the case and the sanity exchanges around it, ``gate`` keeps
disruptive cases and second runs alone. Judging is not done here: a run only makes records, and
:mod:`reports.judgement` derives the verdict from them.
"""
