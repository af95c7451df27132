//! One TLS configuration for REST and sockets: rustls with `ring`, certificates always verified.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};

use crate::error::VenueError;

/// Largest file of certificates, bytes.
const ROOTS_FILE_BYTES_MAX: u64 = 1 << 20;

/// Whom we believe that a server is who it says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum TrustedRoots {
    /// The public certificate authorities, compiled in.
    #[default]
    Public,
    /// Only these: a test venue, or a proxy with its own authority.
    Only(Vec<CertificateDer<'static>>),
}

impl TrustedRoots {
    /// Reads certificates from a PEM file.
    ///
    /// # Errors
    /// [`VenueError::Setting`] when the file cannot be read or holds no certificate.
    pub fn from_pem_file(path: &Path) -> Result<Self, VenueError> {
        let fault = |problem: String| VenueError::Setting {
            setting: "trusted_roots",
            problem: format!("{}: {problem}", path.display()),
        };
        let size = fs::metadata(path)
            .map_err(|error| fault(error.to_string()))?
            .len();
        if size > ROOTS_FILE_BYTES_MAX {
            return Err(fault(format!("larger than {ROOTS_FILE_BYTES_MAX} bytes")));
        }
        let pem = fs::read(path).map_err(|error| fault(error.to_string()))?;
        let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
        let certificates = certificates.map_err(|error| fault(error.to_string()))?;
        if certificates.is_empty() {
            return Err(fault("holds no certificate".to_owned()));
        }
        Ok(Self::Only(certificates))
    }

    /// The client's side of TLS 1.2 and 1.3 under these roots.
    pub(crate) fn client_config(&self) -> Result<Arc<ClientConfig>, VenueError> {
        let fault = |problem: String| VenueError::Setting {
            setting: "trusted_roots",
            problem,
        };
        let mut store = RootCertStore::empty();
        match self {
            Self::Public => store.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned()),
            Self::Only(certificates) => {
                for certificate in certificates {
                    store
                        .add(certificate.clone())
                        .map_err(|error| fault(error.to_string()))?;
                }
            }
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| fault(error.to_string()))?
            .with_root_certificates(store)
            .with_no_client_auth();
        Ok(Arc::new(config))
    }
}
