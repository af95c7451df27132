//! The type that carries "risk has approved this".

/// Something that risk approved. Only [`crate::risk`] can make one, it cannot be copied, and the
/// service's egress takes it apart exactly once.
///
/// ```compile_fail
/// // The field is private and there is no public constructor: no one outside risk approves.
/// let forged = engine::risk::Approved { inner: 1 };
/// ```
///
/// ```compile_fail
/// fn twice(order: engine::risk::Approved<u8>) -> [engine::risk::Approved<u8>; 2] {
///     [order.clone(), order] // an approval leaves once
/// }
/// ```
#[derive(Debug, PartialEq, Eq)]
pub struct Approved<T> {
    inner: T,
}

impl<T> Approved<T> {
    /// Approves. Private to risk: this is the whole point of the type.
    pub(in crate::risk) const fn new(inner: T) -> Self {
        Self { inner }
    }

    /// Looks at what was approved, for the journal and for telemetry.
    pub const fn get(&self) -> &T {
        &self.inner
    }

    /// Takes what was approved, using the approval up.
    pub fn into_inner(self) -> T {
        self.inner
    }
}
