//! What a check found, for people.

use std::fmt::{self, Write};

use crate::report::{BookReport, ConnectionReport, Report};

/// Levels of each side shown to people.
const LEVELS_SHOWN: usize = 10;

impl Report {
    /// The report as text: connections with their books, then what is wrong.
    #[must_use]
    pub fn table(&self) -> String {
        let mut out = String::new();
        // Writing into a string does not fail.
        let _ = self.write(&mut out);
        out
    }

    fn write(&self, out: &mut String) -> fmt::Result {
        for (index, file) in self.files.iter().enumerate() {
            let torn = if file.torn {
                ", torn: its last line was left out"
            } else {
                ""
            };
            let (path, format, lines) = (&file.path, file.format, grouped(file.lines));
            writeln!(out, "file {index}  {path}  ({format}, {lines} lines{torn})")?;
        }
        for connection in &self.connections {
            connection.write(out)?;
        }
        writeln!(out)?;
        if self.right {
            return writeln!(out, "right: nothing wrong was found");
        }
        for problem in &self.problems {
            writeln!(out, "wrong: {problem}")?;
        }
        Ok(())
    }
}

impl ConnectionReport {
    fn write(&self, out: &mut String) -> fmt::Result {
        let files: Vec<_> = self.files.iter().map(ToString::to_string).collect();
        let seconds = (self.ended_ns - self.began_ns) as f64 / 1e9;
        writeln!(out)?;
        writeln!(
            out,
            "{} {}  file {}, {seconds:.1} s, {} messages, {} bytes",
            self.wire,
            self.connection,
            files.join(" and "),
            grouped(self.messages),
            grouped(self.bytes)
        )?;
        let kinds: Vec<_> = self
            .kinds
            .iter()
            .map(|(kind, count)| format!("{kind} {}", grouped(*count)))
            .collect();
        writeln!(out, "  kinds       {}", kinds.join(", "))?;
        writeln!(
            out,
            "  reading     {} scanned, {} fallbacks, {} errors, {} of unknown symbols",
            grouped(self.scanned),
            grouped(self.fallbacks),
            self.errors,
            self.unknown_symbols
        )?;
        writeln!(
            out,
            "  numbers     {} holes in the connection's, {} twice or late, {} holes in trades', {} trades twice",
            self.connection_gaps, self.connection_repeats, self.trade_gaps, self.trade_duplicates
        )?;
        for error in &self.first_errors {
            writeln!(out, "  error       {error}")?;
        }
        for book in &self.books {
            book.write(out)?;
        }
        Ok(())
    }
}

impl BookReport {
    fn write(&self, out: &mut String) -> fmt::Result {
        writeln!(out, "  {}", self.symbol)?;
        if self.trades.count > 0 {
            let (count, volume) = (grouped(self.trades.count), &self.trades.volume);
            writeln!(out, "    trades    {count}, volume {volume}")?;
        }
        if !self.subscribed {
            return Ok(());
        }
        writeln!(
            out,
            "    book      {}, update {}, {} bids, {} asks",
            if self.synchronized {
                "stands"
            } else {
                "does not stand"
            },
            self.last_update_id,
            grouped(self.levels.bids as u64),
            grouped(self.levels.asks as u64)
        )?;
        writeln!(
            out,
            "    updates   {} applied, {} stale, {} kept for a snapshot; {} snapshots, {} refused",
            grouped(self.updates),
            self.stale,
            self.buffered,
            self.snapshots,
            self.snapshots_refused
        )?;
        writeln!(
            out,
            "    faults    {} gaps, {} resyncs, {} crossed; {} unknown deletes tolerated",
            self.gaps,
            self.resyncs,
            self.crossed,
            grouped(self.unknown_deletes)
        )?;
        self.write_proofs(out)?;
        let Some(top) = &self.top else { return Ok(()) };
        writeln!(out, "    top       sha256 {}", top.sha256)?;
        let width = top
            .bids
            .iter()
            .map(|(price, quantity)| price.len() + quantity.len() + 3)
            .max();
        let blank = (String::new(), String::new());
        for at in 0..LEVELS_SHOWN.min(top.bids.len().max(top.asks.len())) {
            let (bid, ask) = (
                top.bids.get(at).unwrap_or(&blank),
                top.asks.get(at).unwrap_or(&blank),
            );
            let bid = format!("{} x {}", bid.1, bid.0);
            let width = width.unwrap_or_default();
            writeln!(out, "      {bid:>width$} | {} x {}", ask.0, ask.1)?;
        }
        Ok(())
    }

    fn write_proofs(&self, out: &mut String) -> fmt::Result {
        let checksums = self.checksums.right + self.checksums.wrong;
        if checksums > 0 {
            let right = grouped(self.checksums.right);
            writeln!(out, "    checksums {right} of {} right", grouped(checksums))?;
        }
        if self.best.compared > 0 {
            let (equal, compared) = (grouped(self.best.equal), grouped(self.best.compared));
            let binding = if self.best.binding {
                ""
            } else {
                " (that stream lags: no proof)"
            };
            writeln!(
                out,
                "    best      {equal} of {compared} equal to the venue's own{binding}"
            )?;
        }
        let text = &self.text_book;
        let (compared, whole) = (grouped(text.compared), grouped(text.compared_whole));
        write!(
            out,
            "    text      {compared} comparisons, {whole} of all levels, {} differences",
            text.mismatches
        )?;
        match &text.first_mismatch {
            Some(first) => writeln!(out, ": {first}"),
            None => writeln!(out),
        }
    }
}

/// A count with commas between thousands.
fn grouped(count: u64) -> String {
    let digits = count.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}
