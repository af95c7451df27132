//! Names of this process's instruments.

use std::collections::BTreeMap;

use domain::InstrumentId;

use super::error::ProtocolError;
use crate::command::InstrumentName;
use crate::error::MessagingError;

/// Which name belongs to which dense id, both ways.
#[derive(Debug, Clone, Default)]
pub struct Instruments {
    names: BTreeMap<InstrumentId, InstrumentName>,
    ids: BTreeMap<InstrumentName, InstrumentId>,
}

impl Instruments {
    /// A table of these pairs.
    ///
    /// # Errors
    /// [`MessagingError::DuplicateInstrument`] when an id or a name is listed twice.
    pub fn new(
        pairs: impl IntoIterator<Item = (InstrumentId, InstrumentName)>,
    ) -> Result<Self, MessagingError> {
        let mut table = Self::default();
        for (id, name) in pairs {
            let twice = table.names.insert(id, name).is_some() | table.ids.insert(name, id).is_some();
            if twice {
                return Err(MessagingError::DuplicateInstrument(name.to_string()));
            }
        }
        Ok(table)
    }

    /// The id of a name.
    pub fn id(&self, name: &InstrumentName) -> Option<InstrumentId> {
        self.ids.get(name).copied()
    }

    /// The name of an id.
    pub fn name(&self, id: InstrumentId) -> Option<InstrumentName> {
        self.names.get(&id).copied()
    }

    pub(crate) fn require_name(&self, id: InstrumentId) -> Result<InstrumentName, ProtocolError> {
        self.name(id).ok_or(ProtocolError::UnknownInstrumentId(id))
    }

    pub(crate) fn require_id(&self, name: InstrumentName) -> Result<InstrumentId, ProtocolError> {
        self.id(&name)
            .ok_or_else(|| ProtocolError::UnknownInstrument(name.to_string()))
    }
}
