//! `$(X)` in the value of an environment variable, as the kubelet expands it.
//!
//! The rules are those of `third_party/forked/golang/expansion/expand.go` in Kubernetes: `$(X)` is replaced
//! when X is defined *earlier* in the list, and stays as it is otherwise; `$$` is one dollar sign; any other
//! `$` stands for itself.

use super::pod::EnvVar;

/// One piece of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Piece<'a> {
    /// Text that stands for itself.
    Text(&'a str),
    /// `$(X)`.
    Reference(&'a str),
}

/// Cuts a value into text and references.
pub(super) fn pieces(value: &str) -> Vec<Piece<'_>> {
    let mut pieces = Vec::new();
    let mut rest = value;
    while let Some(at) = rest.find('$') {
        let (text, dollar) = rest.split_at(at);
        let after = dollar.strip_prefix('$').unwrap_or_default();
        if let Some(escaped) = after.strip_prefix('$') {
            pieces.extend([Piece::Text(text), Piece::Text("$")]);
            rest = escaped;
        } else if let Some((name, tail)) = after
            .strip_prefix('(')
            .and_then(|open| open.split_once(')'))
        {
            pieces.extend([Piece::Text(text), Piece::Reference(name)]);
            rest = tail;
        } else {
            pieces.extend([Piece::Text(text), Piece::Text("$")]);
            rest = after;
        }
    }
    pieces.push(Piece::Text(rest));
    pieces.retain(|piece| *piece != Piece::Text(""));
    pieces
}

/// Does the value refer to `name`?
pub(super) fn refers_to(value: &str, name: &str) -> bool {
    pieces(value).contains(&Piece::Reference(name))
}

/// Text that comes out of the expansion as it went in.
pub(super) fn escape(text: &str) -> String {
    text.replace('$', "$$")
}

/// The value that the kubelet gives `name`, as far as literals tell: a reference to something that is not an
/// earlier literal stays as written. `None` when the last entry of that name is not a literal.
pub(super) fn literal(env: &[EnvVar], name: &str) -> Option<String> {
    let at = env.iter().rposition(|variable| variable.name == name)?;
    expand_at(env, at)
}

fn expand_at(env: &[EnvVar], at: usize) -> Option<String> {
    // Values are expanded once, front to back; each entry sees the results of the earlier ones.
    let mut known: Vec<(&str, Option<String>)> = Vec::with_capacity(at);
    for variable in env.iter().take(at + 1) {
        let value = variable.value_from.is_none().then(|| {
            pieces(variable.value.as_deref().unwrap_or_default())
                .into_iter()
                .map(|piece| match piece {
                    Piece::Text(text) => text.to_owned(),
                    Piece::Reference(name) => known
                        .iter()
                        .rev()
                        .find(|(known, _)| *known == name)
                        .and_then(|(_, value)| value.clone())
                        .unwrap_or_else(|| format!("$({name})")),
                })
                .collect()
        });
        known.push((&variable.name, value));
    }
    known.pop()?.1
}

#[cfg(test)]
mod tests;
