"""What is made: one room per layer of the asset graph. A body is short and calls `py_rt`."""

import warnings

import dagster as dg

# Backfill policies, partitioned checks and freshness policies are what this graph is made of; Dagster marks them as
# beta and says so at every definition. The version is pinned.
warnings.filterwarnings("ignore", category=dg.BetaWarning)
warnings.filterwarnings("ignore", category=dg.PreviewWarning)
