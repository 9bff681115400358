//! From text to structure. Source: `docs/spec/preferred-content.md` §2 and §3.

use std::fmt;

use nom::branch::alt;
use nom::bytes::complete::{tag, take_till1, take_while};
use nom::multi::many0;
use nom::sequence::preceded;
use nom::{IResult, Parser};

use super::error::SyntaxError;
use super::term::Term;

/// A preferred content expression, as it stands in a log.
///
/// Text that cannot be understood is an expression, too: it wants what is present already.
#[derive(Clone, PartialEq, Eq)]
pub struct Expression {
    text: Vec<u8>,
    body: Result<Fold, SyntaxError>,
}

/// How deep parentheses and `not`s may be nested, so that no text can exhaust the stack.
const MAX_DEPTH: usize = 100;

/// Elements joined from left to right, beginning with "everything".
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Fold(pub(super) Vec<(Join, Operand)>);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Join {
    And,
    Or,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Operand {
    /// Everything: what stands where an element is missing.
    All,
    Term(Term),
    Not(Box<Operand>),
    Group(Fold),
}

impl Expression {
    /// Reads the text of an expression. Never fails; see [`Self::error`].
    pub fn parse(text: &[u8]) -> Self {
        let body = tokens(text).and_then(|tokens| {
            let mut fold = Fold::default();
            fold.consume_all(&with_implied_and(grouped(tokens)?), 0)?;
            Ok(fold)
        });
        Self { text: text.to_vec(), body }
    }

    /// Returns the text as it was read.
    pub fn text(&self) -> &[u8] {
        &self.text
    }

    /// Returns what is wrong with the text, if something is; the expression then means `present`.
    pub fn error(&self) -> Option<&SyntaxError> {
        self.body.as_ref().err()
    }

    /// Tells whether the expression says anything; one without a term, such as `()`, leaves the repository unconfigured.
    pub fn is_configured(&self) -> bool {
        !self.body.as_ref().is_ok_and(|fold| fold.0.is_empty())
    }

    pub(super) fn fold(&self) -> Option<&Fold> {
        self.body.as_ref().ok()
    }
}

/// Writes the structure that was read, with everything in its place; unreadable text stays as it is.
impl fmt::Display for Expression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.body {
            Ok(fold) => fold.fmt(f),
            Err(_) => f.write_str(&String::from_utf8_lossy(&self.text)),
        }
    }
}

impl fmt::Debug for Expression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Expression({:?})", String::from_utf8_lossy(&self.text))
    }
}

impl Fold {
    fn consume_all(&mut self, mut elements: &[Element], depth: usize) -> Result<(), SyntaxError> {
        while !elements.is_empty() {
            self.consume(&mut elements, depth)?;
        }
        Ok(())
    }

    /// Takes the next element, whatever stands before it; a group goes on from there.
    fn consume(&mut self, rest: &mut &[Element], depth: usize) -> Result<(), SyntaxError> {
        let Some((element, after)) = rest.split_first() else { return Ok(()) };
        *rest = after;
        match element {
            Element::And => match Operand::next(rest, depth)? {
                Operand::All => {}
                // The same as going on from here, and how it is read back after it was printed.
                Operand::Group(fold) if self.0.is_empty() => self.0 = fold.0,
                operand => self.0.push((Join::And, operand)),
            },
            Element::Or => self.0.push((Join::Or, Operand::next(rest, depth)?)),
            Element::Not => self.0.push((Join::And, Operand::Not(Box::new(Operand::next(rest, depth)?)))),
            Element::Term(term) => self.0.push((Join::And, Operand::Term(term.clone()))),
            Element::Group(_) if depth == MAX_DEPTH => return Err(SyntaxError::TooDeep),
            Element::Group(elements) => self.consume_all(elements, depth + 1)?,
        }
        Ok(())
    }
}

impl Operand {
    /// Takes the element after an operator; everything, if nothing stands there.
    fn next(rest: &mut &[Element], depth: usize) -> Result<Self, SyntaxError> {
        if depth == MAX_DEPTH {
            return Err(SyntaxError::TooDeep);
        }
        let mut fold = Fold::default();
        fold.consume(rest, depth + 1)?;
        Ok(match <[_; 1]>::try_from(fold.0) {
            Ok([(Join::And, operand)]) => operand,
            Ok([(Join::Or, operand)]) => Self::Group(Fold(vec![(Join::Or, operand)])),
            Err(steps) if steps.is_empty() => Self::All,
            Err(steps) => Self::Group(Fold(steps)),
        })
    }
}

impl fmt::Display for Fold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, (join, operand)) in self.0.iter().enumerate() {
            match (at, join) {
                (0, Join::And) => write!(f, "{operand}")?,
                (0, Join::Or) => write!(f, "or {operand}")?,
                (_, Join::And) => write!(f, " and {operand}")?,
                (_, Join::Or) => write!(f, " or {operand}")?,
            }
        }
        Ok(())
    }
}

impl fmt::Display for Operand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All => f.write_str("()"),
            Self::Term(term) => f.write_str(&String::from_utf8_lossy(term.word())),
            Self::Not(operand) => write!(f, "not {operand}"),
            Self::Group(fold) => write!(f, "({fold})"),
        }
    }
}

#[derive(Debug)]
enum Token {
    Open,
    Close,
    Element(Element),
}

/// What stands between parentheses, or outside of all.
#[derive(Debug)]
enum Element {
    And,
    Or,
    Not,
    Term(Term),
    Group(Vec<Element>),
}

impl Token {
    fn parse(word: &[u8]) -> Result<Self, SyntaxError> {
        Ok(match word {
            b"(" => Self::Open,
            b")" => Self::Close,
            b"and" => Self::Element(Element::And),
            b"or" => Self::Element(Element::Or),
            b"not" => Self::Element(Element::Not),
            word => Self::Element(Element::Term(Term::parse(word)?)),
        })
    }
}

fn tokens(text: &[u8]) -> Result<Vec<Token>, SyntaxError> {
    // Never an error: any text is words and parentheses, with white space around them.
    let (_, words) = many0(preceded(space, word)).parse(text).unwrap_or_default();
    words.into_iter().map(Token::parse).collect()
}

/// Puts what stands in parentheses together. Missing ones close at the end, spare ones are ignored.
fn grouped(tokens: Vec<Token>) -> Result<Vec<Element>, SyntaxError> {
    let mut open = Vec::new();
    let mut group = Vec::new();
    for token in tokens {
        match token {
            Token::Open if open.len() == MAX_DEPTH => return Err(SyntaxError::TooDeep),
            Token::Open => open.push(std::mem::take(&mut group)),
            Token::Close => close(&mut open, &mut group),
            Token::Element(element) => group.push(element),
        }
    }
    while !open.is_empty() {
        close(&mut open, &mut group);
    }
    Ok(group)
}

fn close(open: &mut Vec<Vec<Element>>, group: &mut Vec<Element>) {
    if let Some(mut outer) = open.pop() {
        outer.push(Element::Group(std::mem::take(group)));
        *group = outer;
    }
}

/// Writes the `and` before a group that may be left out. git-annex does so outside of all parentheses only.
fn with_implied_and(elements: Vec<Element>) -> Vec<Element> {
    let mut complete = Vec::with_capacity(elements.len());
    for element in elements {
        let ended = matches!(complete.last(), Some(Element::Term(_) | Element::Group(_)));
        if ended && matches!(element, Element::Group(_)) {
            complete.push(Element::And);
        }
        complete.push(element);
    }
    complete
}

fn space(input: &[u8]) -> IResult<&[u8], &[u8]> {
    take_while(is_space).parse(input)
}

fn word(input: &[u8]) -> IResult<&[u8], &[u8]> {
    let plain = take_till1(|byte| is_space(byte) || matches!(byte, b'(' | b')'));
    alt((tag(&b"("[..]), tag(&b")"[..]), plain)).parse(input)
}

fn is_space(byte: u8) -> bool {
    byte.is_ascii_whitespace() || byte == 0x0b
}
