//! Who hears what a venue answers to requests, word by word. Nothing is decided by it.

use std::fmt;
use std::sync::Arc;

/// Hears answers. It must not wait, and what it hears may hold secrets: a socket's token among them.
pub trait Overhear: fmt::Debug + Send + Sync {
    /// The answer to a request: its name in this build, the status, and the body or the message as it came.
    fn answer(&self, request: &'static str, status: u16, body: &[u8]);
}

/// Somebody who hears answers, or nobody.
#[derive(Debug, Clone, Default)]
pub struct Overhearing(Option<Arc<dyn Overhear>>);

impl Overhearing {
    /// By somebody.
    #[must_use]
    pub fn by(somebody: Arc<dyn Overhear>) -> Self {
        Self(Some(somebody))
    }

    pub(crate) fn answer(&self, request: &'static str, status: u16, body: &[u8]) {
        if let Some(somebody) = &self.0 {
            somebody.answer(request, status, body);
        }
    }
}

/// What answers to orders over a socket are called: they do not name their request.
pub(crate) const ORDER_SOCKET: &str = "order socket";
