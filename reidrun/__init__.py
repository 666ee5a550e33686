"""Runs what `reidlib` holds, and reports on it: runs, reports, the command `reid`."""
