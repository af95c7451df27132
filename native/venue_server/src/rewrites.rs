//! Texts that are another on their way out: what a changed wire would say.

/// Rewrites that may wait at a time.
const REWRITES_MAX: usize = 256;

/// Rewrites that wait for their messages, first come first served within a place.
#[derive(Debug)]
pub(crate) struct Rewrites<P>(Vec<Rewrite<P>>);

#[derive(Debug)]
struct Rewrite<P> {
    place: P,
    from: String,
    to: String,
    left: u32,
}

impl<P> Default for Rewrites<P> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<P: PartialEq> Rewrites<P> {
    /// Waits for the next `count` messages of a place that hold `from`; false when too many wait.
    pub(crate) fn add(&mut self, place: P, from: String, to: String, count: u32) -> bool {
        let has_room = self.0.len() < REWRITES_MAX && !from.is_empty();
        if has_room && count > 0 {
            let left = count;
            self.0.push(Rewrite {
                place,
                from,
                to,
                left,
            });
        }
        has_room
    }

    /// Whether any waits for a message of this place.
    pub(crate) fn wait_for(&self, place: &P) -> bool {
        self.0.iter().any(|one| one.place == *place)
    }

    /// The message as it leaves; `None`: as it is. Only the first place that holds `from` is another.
    pub(crate) fn apply(&mut self, place: &P, text: &str) -> Option<String> {
        let meets = |one: &Rewrite<P>| one.place == *place && text.contains(&one.from);
        let at = self.0.iter().position(meets)?;
        let one = &mut self.0[at];
        let rewritten = text.replacen(&one.from, &one.to, 1);
        one.left -= 1;
        if one.left == 0 {
            self.0.remove(at);
        }
        Some(rewritten)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_another_as_often_as_asked_where_it_stands() {
        let mut rewrites = Rewrites::default();
        let text = |text: &str| text.to_owned();
        assert!(rewrites.add(1, text("b"), text("x"), 2));
        assert!(!rewrites.add(1, String::new(), text("x"), 1));
        assert!(rewrites.wait_for(&1) && !rewrites.wait_for(&2));
        assert_eq!(rewrites.apply(&2, "abb"), None);
        assert_eq!(rewrites.apply(&1, "aaa"), None);
        assert_eq!(rewrites.apply(&1, "abb"), Some(text("axb")));
        assert_eq!(rewrites.apply(&1, "b"), Some(text("x")));
        assert_eq!(rewrites.apply(&1, "b"), None);
        assert!(!rewrites.wait_for(&1));
    }
}
