//! Which leaf a replica presents, and which it can go back to: one value, whoever changes it.
//!
//! Two do: whoever signs leaves, and clients that refuse the one that they were given. A note of one's own of what is being
//! served would be wrong as soon as the other one acts. So the signer looks at this value, decides, and replaces the leaf
//! that it has decided about or none; and a refusal is about the leaf that was presented in that very handshake.
//!
//! Invariant: what was refused is not presented again before that is noted.
//!
//! Deliberately not here: swapping the value as a whole ([`server::tls`](crate::server::tls)), and when to sign
//! ([`state`](super::state)).

/// What is being served. Leaves are equal if they are the same one, whatever is in them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Serving<L> {
    current: Option<L>,
    previous: Option<L>,
    refused: Option<L>,
}

impl<L> Serving<L> {
    /// Nothing yet: every handshake fails.
    pub const NOTHING: Self = Self {
        current: None,
        previous: None,
        refused: None,
    };

    /// This leaf, without a way back.
    pub fn only(leaf: L) -> Self {
        Self {
            current: Some(leaf),
            ..Self::NOTHING
        }
    }

    /// What handshakes present.
    pub fn current(&self) -> Option<&L> {
        self.current.as_ref()
    }

    /// What a client has refused, if nobody has taken note of that yet.
    pub fn refused(&self) -> Option<&L> {
        self.refused.as_ref()
    }
}

impl<L: Clone + PartialEq> Serving<L> {
    /// With `leaf` in place of the one that was `seen`; `None` if another one is served by now. With a `way_back`, a client
    /// that refuses the new one puts that one back; else whatever could come back still can.
    #[must_use]
    pub fn replaced(&self, seen: Option<&L>, leaf: L, way_back: bool) -> Option<Self> {
        let previous = if way_back {
            &self.current
        } else {
            &self.previous
        };
        (self.current() == seen).then(|| Self {
            current: Some(leaf),
            previous: previous.clone(),
            refused: self.refused.clone(),
        })
    }

    /// After a client has refused what it was `presented`; `None` if that changes nothing, since something else is served
    /// by now, or there is nothing to go back to.
    #[must_use]
    pub fn refused_by_a_client(&self, presented: &L) -> Option<Self> {
        let previous = self.previous.clone()?;
        (self.current() == Some(presented)).then(|| Self {
            current: Some(previous),
            previous: None,
            refused: self.current.clone(),
        })
    }

    /// After somebody has taken note of a refusal.
    #[must_use]
    pub fn noted(&self) -> Self {
        Self {
            refused: None,
            ..self.clone()
        }
    }

    /// Without the way back, unless what is there `is_of_use`.
    #[must_use]
    pub fn with_way_back_if(&self, is_of_use: impl FnOnce(&L) -> bool) -> Self {
        Self {
            previous: self.previous.clone().filter(is_of_use),
            ..self.clone()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn switched() -> Serving<&'static str> {
        Serving::only("old")
            .replaced(Some(&"old"), "new", true)
            .unwrap()
    }

    #[test]
    fn a_refusal_of_what_is_served_brings_back_the_one_before_and_that_once() {
        let after = switched().refused_by_a_client(&"new").unwrap();

        assert_eq!(after.current(), Some(&"old"));
        assert_eq!(after.refused(), Some(&"new"));
        assert_eq!(after.refused_by_a_client(&"old"), None);
        assert_eq!(after.noted(), Serving::only("old"));
    }

    #[test]
    fn a_refusal_of_what_is_not_served_any_more_changes_nothing() {
        assert_eq!(switched().refused_by_a_client(&"old"), None);
        let renewed = switched().replaced(Some(&"new"), "newer", false).unwrap();
        assert_eq!(renewed.refused_by_a_client(&"new"), None);
        // And what is served now can still be undone.
        let after = renewed.refused_by_a_client(&"newer").unwrap();
        assert_eq!(after.current(), Some(&"old"));
    }

    #[test]
    fn only_what_was_seen_is_replaced() {
        let after = switched().refused_by_a_client(&"new").unwrap();

        assert_eq!(after.replaced(Some(&"new"), "newer", false), None);
        assert_eq!(
            Serving::NOTHING.replaced(None, "first", false),
            Some(Serving::only("first"))
        );
    }

    #[test]
    fn a_way_back_goes_when_it_is_of_no_use() {
        let kept = switched().with_way_back_if(|previous| *previous == "old");
        assert_eq!(kept, switched());

        let gone = switched().with_way_back_if(|_| false);
        assert_eq!(gone, Serving::only("new"));
        assert_eq!(gone.refused_by_a_client(&"new"), None);
    }
}
