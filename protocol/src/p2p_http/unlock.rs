//! The messages that a client sends while it holds a lock: JSON objects with one field, each on a line.

use nom::branch::alt;
use nom::bytes::complete::{tag, take_while};
use nom::combinator::{all_consuming, value};
use nom::sequence::delimited;
use nom::{IResult, Parser};

/// Takes bytes as they come, and gives messages.
#[derive(Debug, Default)]
pub struct UnlockReader {
    line: Vec<u8>,
    ended: bool,
}

/// The client sent something else.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the body is to hold lines like {{\"unlock\":true}}")]
pub struct Malformed;

/// A line is shorter than this by far.
const MAX_LINE: usize = 1024;

impl UnlockReader {
    /// Takes the next bytes; true as soon as a message among them gives the lock back.
    ///
    /// A message counts when it is complete, whether the line feed after it has come or not.
    pub fn push(&mut self, bytes: &[u8]) -> Result<bool, Malformed> {
        for byte in bytes {
            if *byte == b'\n' {
                let line = std::mem::take(&mut self.line);
                if !std::mem::take(&mut self.ended) && !line.trim_ascii().is_empty() {
                    return Err(Malformed);
                }
                continue;
            }
            if self.line.len() >= MAX_LINE || (self.ended && !byte.is_ascii_whitespace()) {
                return Err(Malformed);
            }
            self.line.push(*byte);
            if *byte == b'}' {
                let (_, unlock) = message(&self.line).map_err(|_| Malformed)?;
                if unlock {
                    return Ok(true);
                }
                self.ended = true;
            }
        }
        Ok(false)
    }
}

/// Returns a message with its line feed.
pub fn unlock_message(unlock: bool) -> &'static str {
    if unlock { "{\"unlock\":true}\n" } else { "{\"unlock\":false}\n" }
}

fn message(input: &[u8]) -> IResult<&[u8], bool> {
    let boolean = alt((value(true, tag(&b"true"[..])), value(false, tag(&b"false"[..]))));
    let field = (token(tag(&b"\"unlock\""[..])), token(tag(&b":"[..])), token(boolean)).map(|(_, _, unlock)| unlock);
    all_consuming(delimited(token(tag(&b"{"[..])), field, token(tag(&b"}"[..])))).parse(input)
}

fn token<'a, O>(
    inner: impl Parser<&'a [u8], Output = O, Error = nom::error::Error<&'a [u8]>>,
) -> impl Parser<&'a [u8], Output = O, Error = nom::error::Error<&'a [u8]>> {
    let space = || take_while(|byte: u8| byte.is_ascii_whitespace());
    delimited(space(), inner, space())
}
