"""From run folders to tables, claims and pages."""
