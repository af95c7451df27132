//! Where a rollback leads: the bundles of a slot that were not left for an earlier one.

use domain::BundleDigest;

/// Bundles that a slot remembers; beyond, the oldest is forgotten.
pub const WAY_BACK_MAX: usize = 32;

/// The bundles of a slot, oldest first; the last one is the one that ran last.
///
/// Running one of them again is going back to it, by whatever command: those after it were left, and no rollback leads
/// to them any more. So the record's activations alone tell the way, and every life finds the same.
///
/// ```
/// use domain::BundleDigest;
/// use live::way_back::WayBack;
/// let [one, other, third] = [1, 2, 3].map(|byte| BundleDigest([byte; 32]));
/// let mut way = WayBack::default();
/// for digest in [one, other, third, other] {
///     way.ran(digest);
/// }
/// assert_eq!(way.before(), Some(one), "the third was left");
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct WayBack(Vec<BundleDigest>);

impl WayBack {
    /// A bundle took the slot over.
    pub fn ran(&mut self, digest: BundleDigest) {
        if let Some(at) = self.0.iter().position(|known| *known == digest) {
            self.0.truncate(at + 1);
            return;
        }
        if self.0.len() == WAY_BACK_MAX {
            self.0.remove(0);
        }
        self.0.push(digest);
    }

    /// What a rollback leads to.
    #[must_use]
    pub fn before(&self) -> Option<BundleDigest> {
        self.0.iter().nth_back(1).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn way(bytes: &[u8]) -> WayBack {
        let mut way = WayBack::default();
        for byte in bytes {
            way.ran(BundleDigest([*byte; 32]));
        }
        way
    }

    fn before(bytes: &[u8]) -> Option<u8> {
        way(bytes).before().map(|digest| digest.0[0])
    }

    #[test]
    fn a_rollback_leads_further_back_and_never_to_what_was_left() {
        assert_eq!(before(&[]), None);
        assert_eq!(before(&[1]), None);
        assert_eq!(before(&[1, 2]), Some(1));
        assert_eq!(before(&[1, 2, 1]), None, "2 was left");
        assert_eq!(before(&[1, 2, 3, 2]), Some(1));
        assert_eq!(before(&[1, 2, 3, 2, 4]), Some(2), "on from where it went back to");
        assert_eq!(
            before(&[1, 2, 2]),
            Some(1),
            "renewed, or run again by the next life"
        );
    }

    #[test]
    fn the_oldest_is_forgotten_at_the_bound() {
        let many: Vec<u8> = (0..).take(WAY_BACK_MAX + 1).collect();
        let way = way(&many);
        assert_eq!(way.0.len(), WAY_BACK_MAX);
        assert_eq!(way.0[0].0[0], 1);
    }
}
