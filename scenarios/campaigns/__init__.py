"""Long measurements beside the cases: each module is a command that prints a table and judges it."""
