//! The record: bars from a CSV file of decimal text, read without a float.

use std::path::Path;

use domain::{Bar, InstrumentId, Nanos, Price, Quantity, Timestamp};

use crate::error::ServerError;

const HEADER: &str = "ts_open,open,high,low,close,volume";

/// Reads the bars of `path`, oldest first. The span is the smallest step between two of them.
///
/// # Errors
/// [`ServerError`] with file and line for anything that is not a bar. Whether the bars fit together is
/// checked where they are played.
pub fn read_bars(path: &Path) -> Result<Vec<Bar>, ServerError> {
    let text = std::fs::read_to_string(path).map_err(|source| ServerError::File {
        path: path.to_owned(),
        source,
    })?;
    let mut lines = text.lines();
    let header = lines.next().unwrap_or_default().trim();
    if header != HEADER {
        return Err(ServerError::Header {
            path: path.to_owned(),
            found: header.to_owned(),
        });
    }
    let mut bars = Vec::new();
    for (index, line) in lines.enumerate() {
        bars.push(read_bar(path, index + 2, line)?);
    }
    let span = bars
        .windows(2)
        .map(|pair| pair[1].ts_open.since(pair[0].ts_open))
        .min()
        .unwrap_or(DEFAULT_SPAN);
    for bar in &mut bars {
        bar.span = span;
    }
    Ok(bars)
}

/// Of a file with a single bar, which does not show its span: fifteen minutes.
const DEFAULT_SPAN: Nanos = Nanos(900_000_000_000);

fn read_bar(path: &Path, line: usize, text: &str) -> Result<Bar, ServerError> {
    let malformed = || ServerError::Line {
        path: path.to_owned(),
        line,
        text: text.to_owned(),
    };
    let columns: Vec<&str> = text.split(',').map(str::trim).collect();
    let [ts_open, open, high, low, close, volume] = columns[..] else {
        return Err(malformed());
    };
    let nanos: i64 = ts_open.parse().map_err(|_| malformed())?;
    let number = |field: &'static str, value: &str| {
        Price::parse(value.as_bytes()).map_err(|source| ServerError::Field {
            path: path.to_owned(),
            line,
            field,
            value: value.to_owned(),
            source,
        })
    };
    Ok(Bar {
        instrument: InstrumentId(0),
        ts_open: Timestamp::from_nanos(nanos),
        span: DEFAULT_SPAN,
        open: number("open", open)?,
        high: number("high", high)?,
        low: number("low", low)?,
        close: number("close", close)?,
        volume: Quantity::from_units(number("volume", volume)?.units()),
    })
}

/// The largest step that every price of `bars` is a multiple of: the tick that the record itself shows.
#[must_use]
pub fn common_tick(bars: &[Bar]) -> Price {
    let prices = bars
        .iter()
        .flat_map(|bar| [bar.open, bar.high, bar.low, bar.close]);
    let tick = prices.fold(0, |tick, price| gcd(tick, price.units()));
    Price::from_units(tick.max(1))
}

fn gcd(one: i64, other: i64) -> i64 {
    let (mut one, mut other) = (one, other);
    while other != 0 {
        (one, other) = (other, one % other);
    }
    one.abs()
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn read(text: &str) -> Result<Vec<Bar>, ServerError> {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(text.as_bytes()).unwrap();
        read_bars(file.path())
    }

    #[test]
    fn reads_exact_text_and_finds_span_and_tick() {
        let bars = read(
            "ts_open,open,high,low,close,volume\n\
             900000000000,43443.0625,43555.515625,43443.0625,43548.7734375,1165.34\n\
             1800000000000,43547.55859375,43616.171875,43482.40625,43567.48046875,0.00000001\n",
        )
        .unwrap();
        assert_eq!(bars.len(), 2);
        assert_eq!(bars[0].span, Nanos(900_000_000_000));
        assert_eq!(bars[1].volume.units(), 1);
        assert_eq!(common_tick(&bars).to_string(), "0.00390625");
    }

    #[test]
    fn names_file_line_and_column() {
        let message = |text: &str| read(text).unwrap_err().to_string();
        assert!(message("").contains(":1: the header is ``"));
        assert!(message("ts_open,open,high,low,close,volume\n1,2,3\n").contains(":2: expected six columns"));
        let text = "ts_open,open,high,low,close,volume\n0,1,1,1,1,1\n900,1,1,1e3,1,1\n";
        let found = message(text);
        assert!(
            found.contains(":3: low is `1e3`: not a decimal number"),
            "{found}"
        );
    }
}
