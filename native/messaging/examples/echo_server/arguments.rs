//! What the command line says.

use std::error::Error;
use std::path::PathBuf;

use domain::Epoch;
use messaging::{KeyId, Role, TrustedKey};

pub(crate) struct Arguments {
    pub(crate) directory: PathBuf,
    pub(crate) instance: String,
    pub(crate) epoch: Epoch,
    pub(crate) keys: Vec<TrustedKey>,
    pub(crate) floors: Vec<(KeyId, u64)>,
}

impl Arguments {
    pub(crate) fn read(mut words: impl Iterator<Item = String>) -> Result<Self, Box<dyn Error>> {
        let mut next = |what: &str| words.next().ok_or(format!("{what} is missing"));
        let mut arguments = Self {
            directory: next("DIRECTORY")?.into(),
            instance: next("INSTANCE")?,
            epoch: Epoch(next("EPOCH")?.parse()?),
            keys: Vec::new(),
            floors: Vec::new(),
        };
        for word in words {
            let (name, value) = word.split_once('=').ok_or(format!("{word:?} has no ="))?;
            if let Some(key) = name.strip_prefix("floor:") {
                let key = KeyId::from_hex(key).ok_or(format!("{key:?} is no key id"))?;
                arguments.floors.push((key, value.parse()?));
            } else {
                let role = Role::from_name(name).ok_or(format!("{name:?} is no role"))?;
                let pem = std::fs::read_to_string(value)?;
                arguments.keys.push(TrustedKey::from_pem(role, &pem)?);
            }
        }
        Ok(arguments)
    }
}
