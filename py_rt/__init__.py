"""The library: how market data becomes features, models, backtests and signed bundles.

No Dagster, no hidden clock, no hidden I/O. `assets` says what is made, `pipelines` says when.
"""

from importlib.metadata import version

__version__ = version("py_rt")
