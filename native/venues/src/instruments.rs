//! The instruments of one session, found by dense id or by the venue's symbol.

use domain::{Instrument, InstrumentId, Text};

use crate::error::VenueError;

/// Most instruments in one session.
pub const INSTRUMENTS_MAX: usize = 1_024;

/// An immutable table of instruments. An instrument's id is its index.
#[derive(Debug, Clone)]
pub struct Instruments {
    by_id: Vec<Instrument>,
    by_symbol: Vec<(Text<24>, InstrumentId)>,
}

impl Instruments {
    /// Makes the table.
    ///
    /// # Errors
    /// [`VenueError::Setting`] when ids are not 0, 1, 2, ... in order, a symbol occurs twice, or
    /// there are more than [`INSTRUMENTS_MAX`].
    pub fn new(instruments: Vec<Instrument>) -> Result<Self, VenueError> {
        let fault = |problem: String| VenueError::Setting {
            setting: "instruments",
            problem,
        };
        if instruments.len() > INSTRUMENTS_MAX {
            return Err(fault(format!("at most {INSTRUMENTS_MAX} in one session")));
        }
        let mut by_symbol = Vec::with_capacity(instruments.len());
        for (index, instrument) in instruments.iter().enumerate() {
            if usize::from(instrument.id.0) != index {
                return Err(fault(format!(
                    "{} has id {}, expected {index}",
                    instrument.symbol, instrument.id.0
                )));
            }
            by_symbol.push((instrument.symbol, instrument.id));
        }
        by_symbol.sort_unstable();
        if let Some(pair) = by_symbol.windows(2).find(|pair| pair[0].0 == pair[1].0) {
            return Err(fault(format!("{} is listed twice", pair[0].0)));
        }
        Ok(Self {
            by_id: instruments,
            by_symbol,
        })
    }

    /// The instrument with this id.
    #[must_use]
    pub fn get(&self, id: InstrumentId) -> Option<&Instrument> {
        self.by_id.get(usize::from(id.0))
    }

    /// The instrument with this id.
    ///
    /// # Errors
    /// [`VenueError::UnknownInstrument`] when there is none.
    pub fn require(&self, id: InstrumentId) -> Result<&Instrument, VenueError> {
        self.get(id).ok_or(VenueError::UnknownInstrument(id))
    }

    /// The instrument with the venue's symbol.
    #[must_use]
    pub fn by_symbol(&self, symbol: &Text<24>) -> Option<&Instrument> {
        let at = self
            .by_symbol
            .binary_search_by_key(symbol, |entry| entry.0)
            .ok()?;
        self.get(self.by_symbol[at].1)
    }

    /// All of them, by id.
    pub fn iter(&self) -> std::slice::Iter<'_, Instrument> {
        self.by_id.iter()
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.by_id.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.by_id.is_empty()
    }
}

impl<'a> IntoIterator for &'a Instruments {
    type Item = &'a Instrument;
    type IntoIter = std::slice::Iter<'a, Instrument>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::instrument;

    #[test]
    fn finds_by_id_and_symbol() {
        let table = Instruments::new(vec![instrument(0, "BTCUSDT"), instrument(1, "AAVEUSDT")]).unwrap();
        let symbol = Text::new("AAVEUSDT").unwrap();
        assert_eq!(table.by_symbol(&symbol).unwrap().id, InstrumentId(1));
        assert_eq!(
            table.get(InstrumentId(0)).unwrap().symbol,
            Text::new("BTCUSDT").unwrap()
        );
        assert!(table.by_symbol(&Text::new("ETHUSDT").unwrap()).is_none());
        assert!(matches!(
            table.require(InstrumentId(2)),
            Err(VenueError::UnknownInstrument(InstrumentId(2)))
        ));
    }

    #[test]
    fn refuses_a_table_whose_ids_are_not_its_indices() {
        assert!(Instruments::new(vec![instrument(1, "BTCUSDT")]).is_err());
        assert!(Instruments::new(vec![instrument(0, "BTCUSDT"), instrument(1, "BTCUSDT")]).is_err());
    }
}
