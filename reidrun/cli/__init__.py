"""The command `reid`."""
