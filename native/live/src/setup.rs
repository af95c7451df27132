//! Everything that is read before anything is touched: the service's file and the files it names.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use bundle::TrustedKeys;
use config::{LoadedService, SourceText};
use engine::risk::RiskLimits;

use crate::error::LiveError;

/// Bits of a mode by which group and others may write.
const WRITABLE_BY_OTHERS: u32 = 0o022;

/// A service's configuration, whole and checked.
#[derive(Debug, Clone)]
pub struct Setup {
    /// The service's file with the texts it was read from.
    pub service: LoadedService,
    /// The policy that no bundle may loosen.
    pub limits: RiskLimits,
    /// The text of the policy, for the record of the run.
    pub limits_source: SourceText,
    /// Whose signatures count, and for what.
    pub keys: TrustedKeys,
}

impl Setup {
    /// Reads the service's file and every file it names. Relative paths are relative to where the service was
    /// started.
    ///
    /// # Errors
    /// [`LiveError::Config`] for faults of the service's file, [`LiveError::Files`] for those of the others, all at
    /// once.
    pub fn load(path: &Path) -> Result<Self, LiveError> {
        let service = config::load_service(path)?;
        let limits = limits(&service);
        let keys = read_trusted_keys(Path::new(&service.config.trusted_keys_file));
        match (limits, keys) {
            (Ok((limits, limits_source)), Ok(keys)) => Ok(Self {
                service,
                limits,
                limits_source,
                keys,
            }),
            (limits, keys) => {
                let faults = limits.err().into_iter().chain(keys.err());
                Err(LiveError::Files(faults.collect()))
            }
        }
    }

    /// Where the run keeps its files.
    #[must_use]
    pub fn run_folder(&self) -> PathBuf {
        PathBuf::from(&self.service.config.run_folder)
    }
}

fn limits(service: &LoadedService) -> Result<(RiskLimits, SourceText), String> {
    let source = read(Path::new(&service.config.risk_limits_file))?;
    let limits =
        config::parse_risk_limits(&source.name, &source.text).map_err(|errors| errors.to_string())?;
    let found = limits.max_position_usd.currency();
    let wanted = service.config.portfolio_currency;
    if found != wanted {
        return Err(format!(
            "{}: currency: found {found}; allowed: {wanted}, the service's portfolio_currency",
            source.name
        ));
    }
    Ok((limits, source))
}

/// The list of keys as it stands.
pub(crate) fn read_trusted_keys(path: &Path) -> Result<TrustedKeys, String> {
    let source =
        read(path).map_err(|fault| format!("{fault}; `py_rt keys create` makes keys and this file"))?;
    only_ours_to_write(path)?;
    TrustedKeys::parse(&source.name, &source.text).map_err(|error| error.to_string())
}

/// Whoever can write the list of keys can make a key of his own count.
fn only_ours_to_write(path: &Path) -> Result<(), String> {
    let name = path.display();
    let found = std::fs::metadata(path).map_err(|error| format!("{name}: cannot be read: {error}"))?;
    let mode = found.mode() & 0o7777;
    if mode & WRITABLE_BY_OTHERS == 0 {
        return Ok(());
    }
    Err(format!(
        "{name}: mode {mode:04o} lets others write it, and so say whose signatures count: chmod go-w {name}"
    ))
}

fn read(path: &Path) -> Result<SourceText, String> {
    config::read_file(path).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: &str = include_str!("../../../config/risk_limits.toml");

    fn write(folder: &Path, limits: &str) -> PathBuf {
        let limits_path = folder.join("risk_limits.toml");
        std::fs::write(&limits_path, limits).unwrap();
        let keys_path = folder.join("trusted_keys.toml");
        let keys = include_str!("../../../tests/contract/bundle/trusted_keys.toml");
        std::fs::write(&keys_path, keys).unwrap();
        let base = include_str!("../../../config/base.toml")
            .replace("config/risk_limits.toml", &limits_path.display().to_string())
            .replace(".py_rt/keys/trusted_keys.toml", &keys_path.display().to_string());
        std::fs::write(folder.join("base.toml"), base).unwrap();
        let paper = folder.join("paper.toml");
        std::fs::write(&paper, include_str!("../../../config/paper.toml")).unwrap();
        paper
    }

    #[test]
    fn the_shipped_configuration_loads() {
        let folder = tempfile::tempdir().unwrap();
        let setup = Setup::load(&write(folder.path(), LIMITS)).unwrap();
        assert_eq!(setup.service.config.name, "paper");
        assert_eq!(setup.limits.max_order_rate_per_min, 60);
        assert_eq!(setup.run_folder(), Path::new(".py_rt/runs/paper"));
    }

    #[test]
    fn every_fault_of_a_named_file_is_told_with_its_place() {
        let folder = tempfile::tempdir().unwrap();
        let typo = LIMITS
            .replace("max_leverage", "max_levrage")
            .replace("= 0.25", "= 2.5");
        let message = Setup::load(&write(folder.path(), &typo)).unwrap_err().to_string();
        for part in [
            "risk_limits.toml:7:1: position_limits.max_levrage: unknown key",
            "did you mean position_limits.max_leverage?",
            "max_portfolio_concentration: not allowed: found float 2.5",
        ] {
            assert!(message.contains(part), "{part:?} not in:\n{message}");
        }
    }

    #[test]
    fn a_list_of_keys_that_others_may_write_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let paper = write(folder.path(), LIMITS);
        let keys = folder.path().join("trusted_keys.toml");
        let writable = std::os::unix::fs::PermissionsExt::from_mode(0o664);
        std::fs::set_permissions(&keys, writable).unwrap();
        let message = Setup::load(&paper).unwrap_err().to_string();
        assert!(message.contains("mode 0664 lets others write it"), "{message}");
    }

    #[test]
    fn a_file_that_never_ends_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let paper = write(folder.path(), LIMITS);
        let limits = folder.path().join("risk_limits.toml");
        std::fs::remove_file(&limits).unwrap();
        std::os::unix::fs::symlink("/dev/zero", &limits).unwrap();
        let message = Setup::load(&paper).unwrap_err().to_string();
        assert!(
            message.contains("risk_limits.toml: is not a plain file"),
            "{message}"
        );
    }

    #[test]
    fn a_missing_file_and_a_foreign_currency_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let paper = write(
            folder.path(),
            &LIMITS.replace("currency = \"USDT\"", "currency = \"EUR\""),
        );
        let message = Setup::load(&paper).unwrap_err().to_string();
        assert!(message.contains("found EUR; allowed: USDT"), "{message}");
        std::fs::remove_file(folder.path().join("risk_limits.toml")).unwrap();
        let message = Setup::load(&paper).unwrap_err().to_string();
        assert!(message.contains("risk_limits.toml: cannot be read"), "{message}");
    }
}
