"""The command `py_rt`: one file per noun, each thin."""
