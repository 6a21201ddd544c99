//! A stream of YAML or JSON, cut into documents by their exact bytes.
//!
//! Line by line, as the YAML specification allows: `---` and `...` at the beginning of a line are markers wherever they
//! stand, also in block scalars and between quotes. Comments and directives before the first `---` belong to the
//! document after it. JSON objects may follow each other without a marker.
//!
//! Deliberately not here: any look at what a document says, except that a document which begins with `{` may be JSON,
//! which ends with its last brace.

use std::io::{self, BufRead};

use javelin_steps as steps;

/// One document, with its marker, its comments and the end of its last line: all bytes up to the next one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Piece {
    /// The text.
    pub text: String,
    /// The line of the stream in which it begins, from 1.
    pub line: usize,
    /// Is it JSON for sure? YAML is not told by this: a document in flow style behind a `---` may be JSON, too.
    pub is_json: bool,
}

/// A stream that cannot be cut.
#[derive(Debug, thiserror::Error)]
pub enum SplitError {
    /// It cannot be read.
    #[error("cannot be read")]
    Io(#[source] io::Error),
    /// It is no text.
    #[error("line {line} is not UTF-8; manifests are UTF-8 text")]
    NotUtf8 {
        /// The line.
        line: usize,
    },
}

/// The documents of a stream, in order.
#[derive(Debug)]
pub struct Documents<R> {
    input: R,
    /// Whole lines that were read.
    buffer: Vec<u8>,
    /// How many of its bytes were given away.
    given: usize,
    /// How many of the others have been looked at: all, or all before the last line.
    seen: usize,
    /// The line in which the buffer begins.
    line: usize,
    is_done: bool,
}

impl<R: BufRead> Documents<R> {
    /// Starts at the beginning of a stream.
    pub fn of(input: R) -> Self {
        Self {
            input,
            buffer: Vec::new(),
            given: 0,
            seen: 0,
            line: 1,
            is_done: false,
        }
    }

    /// Reads up to the end of the next document; `None` at the end of the stream.
    fn read_piece(&mut self) -> Result<Option<(Vec<u8>, bool)>, SplitError> {
        let mut state = State::default();
        loop {
            let Some(line) = self.next_line()? else {
                self.is_done = true;
                let rest = self.take(self.rest().len());
                return Ok((!rest.is_empty()).then_some((rest, false)));
            };
            let (start, end) = line;
            let all = self.rest();
            let text = all.get(start..end).unwrap_or_default();
            let text = if start == 0 && self.line == 1 {
                text.strip_prefix(BYTE_ORDER_MARK).unwrap_or(text)
            } else {
                text
            };
            match marker(text) {
                Some(Marker::Start) if state.has_marker || state.has_content => {
                    self.seen = 0;
                    return Ok(Some((self.take(start), false)));
                }
                Some(Marker::Start) => {
                    state.has_marker = true;
                    // What stands behind it on the same line is content, if anything.
                    state.json = None;
                    continue;
                }
                Some(Marker::End) if state.has_content || state.has_marker => {
                    return Ok(Some((self.take(end), false)));
                }
                Some(Marker::End) | None => {}
            }
            let skipped = end - start - text.len();
            if !state.has_content && !is_blank(text) {
                state.has_content = true;
                let indent = text.iter().take_while(|byte| byte.is_ascii_whitespace());
                let first = start + skipped + indent.count();
                let may_be_json = !state.has_marker && all.get(first) == Some(&b'{');
                state.json = may_be_json.then(|| Braces::from(first));
            }
            let Some(braces) = &mut state.json else {
                continue;
            };
            let bytes = all.get(..end).unwrap_or_default();
            if let Some(close) = braces.find_end(bytes) {
                let object = bytes.get(braces.start..=close).unwrap_or_default();
                if serde_json::from_slice::<serde::de::IgnoredAny>(object).is_ok() {
                    // The rest of the line belongs to it, unless another object stands there.
                    let rest = bytes.get(close + 1..end).unwrap_or_default();
                    let is_alone = rest.iter().all(u8::is_ascii_whitespace);
                    let end = if is_alone { end } else { close + 1 };
                    self.seen = 0;
                    return Ok(Some((self.take(end), true)));
                }
                state.json = None;
            }
        }
    }

    /// What was not given away yet.
    fn rest(&self) -> &[u8] {
        self.buffer.get(self.given..).unwrap_or_default()
    }

    /// The next line that was not looked at yet, or what is left of it, as a range of the rest.
    fn next_line(&mut self) -> Result<Option<(usize, usize)>, SplitError> {
        let start = self.seen;
        if start >= self.rest().len() {
            let read = self.input.read_until(b'\n', &mut self.buffer);
            steps::take(read.map_err(SplitError::Io)?);
        }
        self.seen = self.rest().len();
        Ok((self.seen > start).then_some((start, self.seen)))
    }

    /// Gives away the first bytes of the rest.
    fn take(&mut self, end: usize) -> Vec<u8> {
        let taken = self.rest().get(..end).unwrap_or_default().to_vec();
        steps::take(taken.len());
        self.given += taken.len();
        self.seen = self.seen.saturating_sub(end);
        // Not each time, for the sake of many objects on one line.
        if self.given >= self.buffer.len() / 2 {
            steps::take(self.rest().len());
            self.buffer.drain(..self.given);
            self.given = 0;
        }
        taken
    }
}

impl<R: BufRead> Iterator for Documents<R> {
    type Item = Result<Piece, SplitError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.is_done {
            return None;
        }
        let line = self.line;
        let (bytes, is_json) = match self.read_piece() {
            Ok(piece) => piece?,
            Err(error) => {
                self.is_done = true;
                return Some(Err(error));
            }
        };
        let newlines = |bytes: &[u8]| bytes.split(|byte| *byte == b'\n').skip(1).count();
        self.line += newlines(&bytes);
        Some(match String::from_utf8(bytes) {
            Ok(text) => Ok(Piece {
                text,
                line,
                is_json,
            }),
            Err(error) => {
                self.is_done = true;
                let valid = error.utf8_error().valid_up_to();
                let before = error.as_bytes().get(..valid).unwrap_or_default();
                Err(SplitError::NotUtf8 {
                    line: line + newlines(before),
                })
            }
        })
    }
}

/// What is known of the document that is being read.
#[derive(Debug, Default)]
struct State {
    has_marker: bool,
    has_content: bool,
    /// Where its braces are, while it may be JSON.
    json: Option<Braces>,
}

enum Marker {
    Start,
    End,
}

/// Is this line a marker? Three characters at its beginning, and then nothing or a blank.
fn marker(line: &[u8]) -> Option<Marker> {
    let (word, rest) = line.split_at_checked(3)?;
    if !rest.first().is_none_or(u8::is_ascii_whitespace) {
        return None;
    }
    match word {
        b"---" => Some(Marker::Start),
        b"..." => Some(Marker::End),
        _ => None,
    }
}

/// Nothing, a comment or a directive?
fn is_blank(line: &[u8]) -> bool {
    let text = line.trim_ascii();
    text.is_empty() || text.starts_with(b"#") || line.starts_with(b"%")
}

/// Counts braces as JSON has them.
#[derive(Debug)]
struct Braces {
    start: usize,
    next: usize,
    depth: usize,
    is_string: bool,
    is_escape: bool,
}

impl Braces {
    fn from(start: usize) -> Self {
        Self {
            start,
            next: start,
            depth: 0,
            is_string: false,
            is_escape: false,
        }
    }

    /// Goes on; gives the place of the brace that closes the first one, once it is there.
    fn find_end(&mut self, bytes: &[u8]) -> Option<usize> {
        for (at, byte) in bytes.iter().enumerate().skip(self.next) {
            steps::take(1);
            self.next = at + 1;
            match (byte, self.is_string) {
                _ if self.is_escape => self.is_escape = false,
                (b'\\', true) => self.is_escape = true,
                (b'"', is_string) => self.is_string = !is_string,
                (b'{' | b'[', false) => self.depth += 1,
                (b'}' | b']', false) => {
                    self.depth = self.depth.saturating_sub(1);
                    if self.depth == 0 {
                        return Some(at);
                    }
                }
                _ => {}
            }
        }
        None
    }
}

const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();

#[cfg(test)]
mod tests;
