"""Data: where raw bars come from, how they are cleaned, and how tables are stored.

======================  =====================================================================================
`ingestion`             sources of every kind, landed as received, once, and read into typed rows
`fixed_point`           decimal text to integers of 1e-8, exact
`timestamps`            timestamp text to UTC nanoseconds, exact
`cleaning`              raw rows to a full grid of bars, every row accounted for
`bar_columns`           which column of a file of bars is what, by its usual names
`bar_times`             times as people write them, and what a column proves of days like 03/04/2024
`bar_numbers`           numbers as people write them
`csv_records`           the records of a CSV file, each with its own text
`whole_files`           files that stand whole or not at all
`bar_files`             a file of bars in the engine's units
`repair`                bars from anywhere: named rules with evidence, repairs with proof, quarantine
`imputation`            missing values by a policy per column, from the past only, flagged
`normalization`         columns by numbers fitted on training rows only
`schemas`               every table declared once
`point_in_time`         joins that see only what was known by then
`storage`               Delta tables in the lake: partition-exact writes and reads, versions, content hashes
`maintenance`           upkeep of these tables: compaction, old files, earlier versions
`formats`               tables as single files: Parquet and HDF5, both ways
`lake_check`            whether a store can hold the lake
`expectations`          Great Expectations suites on small samples
`bar_chart`             a small picture of closes
`anomalies`             whether data look as they did: volume, columns, distributions, freshness
`anomaly_charts`        a small picture of each
`calendars`             sessions of venues that sleep, bars numbered over nights and holidays
`corporate_actions`     splits and dividends; adjusted prices as of a day, beside the raw ones
`securities`            permanent ids of securities, and their tickers through time
`universe`              who was in an index or traded at all on a past day
======================  =====================================================================================
"""
