//! Edits to one container's environment, in the order in which they are applied.
//!
//! An [`Environment`] holds the list as it is after the edits so far, so that each step sees what the steps
//! before it did, and the edits themselves, which become the patch. It never adds a name that is there
//! already; the one repeated name, private to us, goes through [`Environment::insert`] on purpose.

use std::{
    borrow::Cow,
    collections::{BTreeSet, HashMap},
};

use super::{expansion, keys, pod::EnvVar};
use crate::steps;

/// One edit. Positions are those at the time of the edit.
#[derive(Debug, Clone, PartialEq)]
pub enum EnvEdit {
    /// A new entry before the one at `at`, or at the end.
    Insert {
        /// Position.
        at: usize,
        /// The entry.
        variable: EnvVar,
    },
    /// Another literal value for the entry at `at`.
    SetValue {
        /// Position.
        at: usize,
        /// The value.
        value: String,
    },
    /// Another name for the entry at `at`.
    Rename {
        /// Position.
        at: usize,
        /// The name.
        name: String,
    },
    /// Another entry in place of the one at `at`.
    Replace {
        /// Position.
        at: usize,
        /// The entry.
        variable: EnvVar,
    },
    /// No entry at `at` any more.
    Remove {
        /// Position.
        at: usize,
    },
}

/// The environment of a container while it is being edited.
#[derive(Debug, Clone)]
pub(super) struct Environment<'a> {
    variables: Vec<Cow<'a, EnvVar>>,
    /// How many entries each name has, where there are so many that looking through them would take longer.
    counts: Option<HashMap<Cow<'a, str>, usize>>,
    edits: Vec<EnvEdit>,
    changed: BTreeSet<String>,
}

impl<'a> Environment<'a> {
    /// Starts from what the container has.
    pub(super) fn new(variables: &'a [EnvVar]) -> Self {
        steps::take(variables.len());
        let mut entries = Vec::with_capacity(variables.len() + OURS);
        entries.extend(variables.iter().map(Cow::Borrowed));
        let mut environment = Self {
            variables: entries,
            counts: (variables.len() > FEW).then(HashMap::new),
            edits: Vec::with_capacity(OURS),
            changed: BTreeSet::new(),
        };
        for variable in variables {
            environment.count(|| Cow::Borrowed(&variable.name));
        }
        environment
    }

    /// The entries as they are now.
    pub(super) fn variables(&self) -> &[Cow<'a, EnvVar>] {
        &self.variables
    }

    /// Is there an entry of that name?
    pub(super) fn has(&self, name: &str) -> bool {
        match &self.counts {
            Some(counts) => counts.get(name).is_some_and(|count| *count > 0),
            None => self.variables.iter().any(|variable| variable.name == name),
        }
    }

    /// Adds an entry before the one at `at`.
    pub(super) fn insert(&mut self, at: usize, variable: EnvVar) {
        let at = at.min(self.variables.len());
        self.changed.insert(variable.name.clone());
        self.count(|| Cow::Owned(variable.name.clone()));
        steps::take(1 + self.variables.len() - at);
        self.variables.insert(at, Cow::Owned(variable.clone()));
        self.edits.push(EnvEdit::Insert { at, variable });
    }

    /// Adds an entry at the end.
    pub(super) fn push(&mut self, variable: EnvVar) {
        self.insert(self.variables.len(), variable);
    }

    /// Adds a literal at the end, to be taken as it is written, unless the name is there: the user's own settings win.
    pub(super) fn push_default(&mut self, name: &str, value: &str) {
        if !self.has(name) {
            self.push(EnvVar::literal(name, expansion::escape(value)));
        }
    }

    /// Adds entries at the end.
    pub(super) fn extend(&mut self, variables: Vec<EnvVar>) {
        for variable in variables {
            self.push(variable);
        }
    }

    /// Gives the literal entry at `at` another value.
    pub(super) fn set_value(&mut self, at: usize, value: String) {
        if let Some(variable) = self.variables.get_mut(at) {
            variable.to_mut().value = Some(value.clone());
            self.changed.insert(variable.name.clone());
            self.edits.push(EnvEdit::SetValue { at, value });
        }
    }

    /// Gives the entry at `at` another name.
    pub(super) fn rename(&mut self, at: usize, name: &str) {
        if let Some(variable) = self.variables.get_mut(at) {
            let former = std::mem::replace(&mut variable.to_mut().name, name.to_owned());
            self.discount(&former);
            self.count(|| Cow::Owned(name.to_owned()));
            self.changed.insert(name.to_owned());
            self.edits.push(EnvEdit::Rename {
                at,
                name: name.to_owned(),
            });
        }
    }

    /// Puts another entry in place of the one at `at`.
    pub(super) fn replace(&mut self, at: usize, variable: EnvVar) {
        if let Some(old) = self.variables.get_mut(at) {
            let former = std::mem::replace(old, Cow::Owned(variable.clone()));
            self.discount(&former.name);
            self.count(|| Cow::Owned(variable.name.clone()));
            self.changed.insert(variable.name.clone());
            self.edits.push(EnvEdit::Replace { at, variable });
        }
    }

    /// Takes the entry at `at` out.
    pub(super) fn remove(&mut self, at: usize) {
        if at < self.variables.len() {
            steps::take(self.variables.len() - at);
            let former = self.variables.remove(at);
            self.discount(&former.name);
            self.edits.push(EnvEdit::Remove { at });
        }
    }

    fn count(&mut self, name: impl FnOnce() -> Cow<'a, str>) {
        if let Some(counts) = &mut self.counts {
            *counts.entry(name()).or_default() += 1;
        }
    }

    fn discount(&mut self, name: &str) {
        let counts = self.counts.as_mut();
        if let Some(count) = counts.and_then(|counts| counts.get_mut(name)) {
            *count = count.saturating_sub(1);
        }
    }

    /// Names that were added or changed, sorted: what the receipt lists.
    pub(super) fn changed_names(&self) -> Vec<String> {
        self.changed.iter().cloned().collect()
    }

    /// The edits, in order, and the names that were added or changed.
    pub(super) fn into_edits(self) -> (Vec<EnvEdit>, Vec<String>) {
        (self.edits, self.changed.into_iter().collect())
    }
}

/// The variables of ours that a text refers to, from the downward API.
pub(super) fn field_variables(text: &str) -> Vec<EnvVar> {
    let names: Vec<_> = expansion::references(text).collect();
    keys::FIELD_VARIABLES
        .iter()
        .filter(|(name, _)| names.contains(name))
        .map(|(name, path)| EnvVar::field(*name, path))
        .collect()
}

/// What is looked through, with a few more of ours.
const FEW: usize = 32;

/// As many are ours, as a rule.
const OURS: usize = 16;
