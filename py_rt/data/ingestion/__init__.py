"""Ingestion: sources of rows as received, and landing them once.

======================  =====================================================================================
`source`                the interface of everything that is ingested in partitions, and its table
`received`              what was received: bytes under their hash, a record for each partition
`ingest`, `publishing`  land partitions; write their rows to the table, many days in one commit
`catalog`               every source by name: definitions, bundled ones, installed packages
`definition`            a source in one TOML file; `columns`, `records`, `archives` read what it describes
`rest`, `database`      kinds of sources: endpoints, tables of databases,
`files`, `feeds`        dropped files, RSS and Atom,
`pages`, `exchange`     web pages, exchanges by ccxt,
`bars`, `lean_ticks`    any source of market bars, ticks of LEAN, by days
`http_client`           HTTP, paced, bounded and tried again; with `retries` and `deadline`
`expected`              what a day should look like; `volume_chart` draws it
`bundled`               real series inside installed packages
`market_data`           bars for the offline chain; `foreign_bars`, `lean`, `hftbacktest` read other systems' files
`landing`, `raw_files`  append-once landing of those bars; one raw file, read as text
`recordings`            recorded wires, read by Rust
`fundamental`           facts of reports with the day they became known
`alternative`           texts with the time from which each could be read
======================  =====================================================================================
"""
