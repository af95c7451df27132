"""What is made: one room per layer of the asset graph. A body is short and calls `py_rt`."""
