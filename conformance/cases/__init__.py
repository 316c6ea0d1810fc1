"""The cases: one module for each area of the specification; see CONTRIBUTING.md for how to add one."""
