//! `$(X)` in the value of an environment variable, as the kubelet expands it.
//!
//! The rules are those of `third_party/forked/golang/expansion/expand.go` in Kubernetes: `$(X)` is replaced
//! when X is defined *earlier* in the list, and stays as it is otherwise; `$$` is one dollar sign; any other
//! `$` stands for itself.

use std::{
    borrow::{Borrow, Cow},
    collections::BTreeMap,
};

use super::{pod::EnvVar, size::MAX_EXPANDED};
use crate::steps;

/// One piece of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Piece<'a> {
    /// Text that stands for itself.
    Text(&'a str),
    /// `$(X)`.
    Reference(&'a str),
}

/// Cuts a value into text and references.
pub(super) fn pieces(value: &str) -> Pieces<'_> {
    steps::take(1 + value.len());
    Pieces {
        rest: value,
        behind: None,
        may_close: true,
    }
}

/// What [`pieces`] gives.
pub(super) struct Pieces<'a> {
    rest: &'a str,
    /// What stands right behind the text that was given last.
    behind: Option<Piece<'a>>,
    /// May a reference still have its bracket?
    may_close: bool,
}

impl<'a> Iterator for Pieces<'a> {
    type Item = Piece<'a>;

    fn next(&mut self) -> Option<Piece<'a>> {
        if let Some(piece) = self.behind.take() {
            return Some(piece);
        }
        let Some((text, after)) = self.rest.split_once('$') else {
            let text = std::mem::take(&mut self.rest);
            return (!text.is_empty()).then_some(Piece::Text(text));
        };
        let piece = self.behind_dollar(after);
        if text.is_empty() {
            return Some(piece);
        }
        self.behind = Some(piece);
        Some(Piece::Text(text))
    }
}

impl<'a> Pieces<'a> {
    /// What a dollar sign and the text after it begin with.
    fn behind_dollar(&mut self, after: &'a str) -> Piece<'a> {
        self.rest = after;
        if let Some(escaped) = after.strip_prefix('$') {
            self.rest = escaped;
            return Piece::Text("$");
        }
        let open = after.strip_prefix('(').filter(|_| self.may_close);
        if let Some((name, tail)) = open.and_then(|open| open.split_once(')')) {
            self.rest = tail;
            return Piece::Reference(name);
        }
        // Without a bracket in all that follows, no later reference has one either.
        self.may_close &= open.is_none();
        Piece::Text("$")
    }
}

/// Does the value refer to `name`?
pub(super) fn refers_to(value: &str, name: &str) -> bool {
    references(value).any(|reference| reference == name)
}

/// The names that a value refers to.
pub(super) fn references(value: &str) -> impl Iterator<Item = &str> {
    pieces(value).filter_map(|piece| match piece {
        Piece::Reference(name) => Some(name),
        Piece::Text(_) => None,
    })
}

/// Text that comes out of the expansion as it went in.
pub(crate) fn escape(text: &str) -> String {
    text.replace('$', "$$")
}

/// The literal values of an environment, expanded: what the program will see, as far as literals tell.
#[derive(Debug)]
pub(super) struct Literals<'a> {
    /// The last entry of each name; `None` when it is not a literal, or too large for any program to start with.
    values: BTreeMap<&'a str, Option<Cow<'a, str>>>,
    /// How many bytes were written to get there, also in vain.
    cost: usize,
    /// What the first literal that is not known was too large for.
    cut: Option<usize>,
}

impl<'a> Literals<'a> {
    /// Expands front to back: each entry sees the results of the earlier ones. A reference to something that is no
    /// earlier literal stays as it is written; envFrom and Services may define it, which is not known here.
    ///
    /// The results are bounded. Entries that double each other (`A1=$(A0)$(A0)`, …) would fill the memory from a
    /// manifest of a page, and Linux starts no program with a variable past 128 KiB, or with 2 MiB of them. So is the
    /// work, of which attempts that come to nothing are part: by twice what a pod may have, as ours is in it later.
    pub(super) fn of(env: &'a [impl Borrow<EnvVar>]) -> Self {
        let mut literals = Self {
            values: BTreeMap::new(),
            cost: 0,
            cut: None,
        };
        let mut budget = MAX_ENVIRONMENT;
        for variable in env.iter().map(Borrow::<EnvVar>::borrow) {
            let text = variable.value.as_deref().unwrap_or_default();
            let is_known = variable.value_from.is_none() && literals.cost <= 2 * MAX_EXPANDED;
            let mut value = None;
            if is_known {
                let expanded = literals.expand_within(text, budget);
                literals.cost += cost_of(&expanded);
                value = expanded.ok();
            }
            if variable.value_from.is_none() && value.is_none() {
                literals.cut.get_or_insert_with(|| budget.min(MAX_VARIABLE));
            }
            budget -= value.as_ref().map_or(0, |value| value.len());
            literals.values.insert(&variable.name, value);
        }
        literals
    }

    /// The value of a name.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.values.get(name)?.as_deref()
    }

    /// All names.
    pub(super) fn into_values(self) -> impl Iterator<Item = (&'a str, Option<Cow<'a, str>>)> {
        self.values.into_iter()
    }

    /// All names with values that are known.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&'a str, &Cow<'a, str>)> {
        let known = self.values.iter();
        known.filter_map(|(name, value)| Some((*name, value.as_ref()?)))
    }

    /// The limit for which a literal was too large: that of a variable, or what others have left of the environment's.
    pub(super) fn cut(&self) -> Option<usize> {
        self.cut
    }

    /// How many bytes were written to resolve all of them, also in vain.
    pub(super) fn cost(&self) -> usize {
        self.cost
    }

    /// How many bytes [`Self::expand`] writes for a text, also in vain.
    pub(super) fn expansion_cost(&self, text: &str) -> usize {
        cost_of(&self.expand_within(text, MAX_VARIABLE))
    }

    /// A text with its references resolved; as it is when the result would be too large.
    pub(super) fn expand<'t>(&self, text: &'t str) -> Cow<'t, str> {
        self.expand_within(text, MAX_VARIABLE)
            .unwrap_or(Cow::Borrowed(text))
    }

    /// The expanded text; or, where it is too large, how many bytes were written to find that out.
    fn expand_within<'t>(&self, text: &'t str, budget: usize) -> Result<Cow<'t, str>, usize> {
        let limit = budget.min(MAX_VARIABLE);
        // Borrowed as long as nothing is replaced in it.
        let mut expanded: Cow<'t, str> = Cow::default();
        for piece in pieces(text) {
            match piece {
                Piece::Text(text) => expanded += text,
                Piece::Reference(name) => match self.get(name) {
                    Some(value) => expanded.to_mut().push_str(value),
                    None => expanded.to_mut().extend(["$(", name, ")"]),
                },
            }
            if expanded.len() > limit {
                steps::take(expanded.len());
                return Err(expanded.len());
            }
        }
        steps::take(expanded.len());
        Ok(expanded)
    }
}

fn cost_of(expanded: &Result<Cow<'_, str>, usize>) -> usize {
    match expanded {
        Ok(expanded) => expanded.len(),
        Err(cost) => *cost,
    }
}

/// `MAX_ARG_STRLEN` of Linux (`include/uapi/linux/binfmts.h`): 32 pages.
pub(super) const MAX_VARIABLE: usize = 128 * 1024;

/// A quarter of the default stack, which is what Linux allows for all arguments and variables together.
pub(super) const MAX_ENVIRONMENT: usize = 2 * 1024 * 1024;

#[cfg(test)]
mod tests;
