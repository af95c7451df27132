"""Data: where raw bars come from, how they are cleaned, and how tables are stored.

======================  =====================================================================================
`ingestion`             sources of raw rows, as received, and their append-once landing
`fixed_point`           decimal text to integers of 1e-8, exact
`timestamps`            timestamp text to UTC nanoseconds, exact
`cleaning`              raw rows to a full grid of bars, every row accounted for
`repair`                bars from anywhere: named rules with evidence, repairs with proof, quarantine
`imputation`            missing values by a policy per column, from the past only, flagged
`normalization`         columns by numbers fitted on training rows only
`schemas`               every table declared once
`storage`               Delta tables in the lake: partition-exact writes and reads, versions, content hashes
`expectations`          Great Expectations suites on small samples
`bar_chart`             a small picture of closes
======================  =====================================================================================
"""
