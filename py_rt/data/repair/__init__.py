"""Repair of bars from anywhere: named rules that find defects, prove a repair, or set the row aside.

A rule repairs only what the series itself proves; a row that is certainly wrong and cannot be repaired is quarantined;
what is odd but may be true is flagged and stays. Rows are conserved: clean + quarantined = input, and a cell that no
rule repaired keeps its text (CSV) or its bits (Parquet).

======================  =====================================================================================
`bars_file`             CSV and Parquet, row by row
`written`               the way back, without touching what was not repaired
`findings`              what a rule says of a row: rule, evidence, action, before, after
`sheet`                 the rows as arrays in order of time, and the log of what rules did to them
`structure`             second headers, torn and repeated rows, restatements, order of time
`zones`                 mixed and wrong time zones
`values`                wrong types, infinities, zero and negative prices, missing values, crossed prices
`swaps`                 cells and columns in each other's place
`levels`                units (x100, 1/100) and splits applied to a part of the rows
`adjustments`           the steps of the adjusted close, read and restated
`dividends`             dividends wrong by 100, missing, twice, on the wrong row, not adjusted
`capital_gains`         capital gains counted twice
`outliers`              spikes and stale runs
`cleaner`               the rules in their order over one file
`report`                the report of a run, as JSON
`landing_drops`         raw drops of a whole market, as archives: read, checked and counted
======================  =====================================================================================
"""
