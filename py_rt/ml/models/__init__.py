"""Models by kind, one file each."""
