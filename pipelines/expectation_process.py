"""The one runner of expectation suites in this process, importable before anything heavy is.

So a command can start the child that imports Great Expectations first, and import Dagster and Polars meanwhile.
"""

from __future__ import annotations

from py_rt.data.expectations import ExpectationRunner

expectation_runner = ExpectationRunner()
"""One child, started ahead or by the check that asks first, answers all of them."""
