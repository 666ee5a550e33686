"""What is measured: work beside its floor. `make bench` runs all of it."""
