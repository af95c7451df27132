"""Generated messages; everything else speaks in `py_rt.bridge`'s own types."""
