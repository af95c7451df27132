"""Deployment bundles: built, signed by two, kept under their own hash.

The Rust reader (`py_rt_core`) is the only judge of a bundle; what it refuses is neither signed nor approved here.
"""
