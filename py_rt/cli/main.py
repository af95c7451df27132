"""The entry point of the command `py_rt`."""

from __future__ import annotations

import argparse

import py_rt


def main(arguments: list[str] | None = None) -> int:
    """Run the command and return its exit status.

    Args:
        arguments: what follows the command's name; `None` reads the process's own.
    """
    parser = argparse.ArgumentParser(prog="py_rt", description="Research in Python, execution in Rust.")
    parser.add_argument("--version", action="version", version=f"py_rt {py_rt.__version__}")
    parser.parse_args(arguments)
    parser.print_help()
    return 0
