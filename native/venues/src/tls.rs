//! One TLS configuration for REST and sockets: rustls with `ring`, certificates always verified.

use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::{ClientConfig, RootCertStore};

use crate::error::VenueError;

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
    /// The client's side of TLS 1.2 and 1.3 under these roots.
    ///
    /// # Errors
    /// [`VenueError::Setting`] when a certificate is not one.
    pub fn client_config(&self) -> Result<Arc<ClientConfig>, VenueError> {
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
