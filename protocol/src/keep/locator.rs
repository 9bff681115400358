//! `hash+size+hints`: the name of a block, with what is known about it.

use std::fmt;

use nom::bytes::complete::{tag, take_while, take_while_m_n, take_while1};
use nom::combinator::{all_consuming, map_opt, opt, recognize};
use nom::multi::{many0, many0_count};
use nom::sequence::{pair, preceded};
use nom::{IResult, Parser};

use super::{BlockHash, ClusterId};

/// A block's hash, its size, and hints in the order they were given.
///
/// The size is a claim: it is not covered by signatures and has to be checked against the data.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Locator {
    hash: BlockHash,
    size: u64,
    hints: Vec<Box<str>>,
}

/// Bytes are no locator of the documented form.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a block locator")]
pub struct LocatorError;

impl Locator {
    /// The locator of the empty block.
    pub const EMPTY: Self = Self::new(BlockHash::EMPTY, 0);

    /// Makes a locator without hints.
    pub const fn new(hash: BlockHash, size: u64) -> Self {
        Self { hash, size, hints: Vec::new() }
    }

    /// Makes the locator of a block.
    pub fn of(block: &[u8]) -> Self {
        Self::new(BlockHash::of(block), block.len() as u64)
    }

    /// Parses the documented form: lower-case hash, size, hints that each begin with a capital letter.
    pub fn parse(text: &[u8]) -> Result<Self, LocatorError> {
        let (_, locator) = all_consuming(locator).parse(text).map_err(|_| LocatorError)?;
        Ok(locator)
    }

    /// Returns the block's hash.
    pub fn hash(&self) -> BlockHash {
        self.hash
    }

    /// Returns the block's size in bytes, as claimed.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Returns the hints in order, each with its letter and without `+`.
    pub fn hints(&self) -> impl Iterator<Item = &str> {
        self.hints.iter().map(AsRef::as_ref)
    }

    /// Tells whether it carries a permission signature of this cluster (`+A`).
    pub fn is_signed(&self) -> bool {
        self.hints().any(|hint| hint.starts_with('A'))
    }

    /// Returns hash and size alone.
    #[must_use]
    pub fn stripped(&self) -> Self {
        Self::new(self.hash, self.size)
    }

    /// Returns the locator without the hints of one letter.
    #[must_use]
    pub fn without(&self, letter: char) -> Self {
        let hints = self.hints.iter().filter(|hint| !hint.starts_with(letter)).cloned().collect();
        Self { hints, ..*self }
    }

    /// Returns the locator with one more hint at the end; `hint` comes without `+`.
    pub fn with_hint(&self, hint: &str) -> Result<Self, LocatorError> {
        all_consuming(hint_text).parse(hint.as_bytes()).map_err(|_| LocatorError)?;
        let hints = self.hints.iter().cloned().chain([hint.into()]).collect();
        Ok(Self { hints, ..*self })
    }

    /// Returns the locator with this permission hint (`A…`) right after the size, and no other one.
    pub(super) fn with_permission(&self, hint: String) -> Self {
        let others = self.hints.iter().filter(|hint| !hint.starts_with('A')).cloned();
        let hints = std::iter::once(hint.into_boxed_str()).chain(others).collect();
        Self { hints, ..*self }
    }

    /// Rewrites this cluster's signature for use elsewhere: `+Asig@expiry` becomes `+Rcluster-sig@expiry`.
    ///
    /// Other hints stay where they are.
    #[must_use]
    pub fn as_remote(&self, issuer: ClusterId) -> Self {
        let rewrite = |hint: &str| match hint.strip_prefix('A') {
            Some(signature) => format!("R{issuer}-{signature}").into(),
            None => hint.into(),
        };
        Self { hints: self.hints().map(rewrite).collect(), ..*self }
    }

    /// Returns the cluster that signed a remote locator (`+R`), and the locator to ask it for (`+A` again).
    ///
    /// `None` when no hint is a well-formed `+R`.
    pub fn at_issuer(&self) -> Option<(ClusterId, Self)> {
        let mut issuer = None;
        let mut hints = Vec::with_capacity(self.hints.len());
        for hint in self.hints() {
            match remote_hint(hint) {
                Some((cluster, signature)) => {
                    issuer = Some(cluster);
                    hints.push(format!("A{signature}").into());
                }
                None => hints.push(hint.into()),
            }
        }
        Some((issuer?, Self { hints, ..*self }))
    }
}

impl fmt::Display for Locator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}+{}", self.hash, self.size)?;
        self.hints.iter().try_for_each(|hint| write!(f, "+{hint}"))
    }
}

impl fmt::Debug for Locator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Locator({self})")
    }
}

/// Tells whether the API server takes `token` for a locator: hash of either case, size optional.
///
/// Decides what kind of token stands in a manifest; for everything else there is [`Locator::parse`].
pub fn is_loose_locator(token: &[u8]) -> bool {
    let hash = take_while_m_n(32, 32, |b: u8| b.is_ascii_hexdigit());
    let size = opt(preceded(tag("+"), digits));
    let hints = many0_count(preceded(tag("+"), hint_text));
    all_consuming((hash, size, hints)).parse(token).is_ok()
}

fn locator(input: &[u8]) -> IResult<&[u8], Locator> {
    let hash = map_opt(take_while_m_n(32, 32, |b: u8| b.is_ascii_hexdigit()), BlockHash::parse);
    let size = map_opt(digits, |digits| std::str::from_utf8(digits).ok()?.parse().ok());
    let hint = map_opt(hint_text, |hint| std::str::from_utf8(hint).ok().map(Box::from));
    let (rest, (hash, _, size, hints)) = (hash, tag("+"), size, many0(preceded(tag("+"), hint))).parse(input)?;
    Ok((rest, Locator { hash, size, hints }))
}

/// One or more decimal digits.
pub(crate) fn digits(input: &[u8]) -> IResult<&[u8], &[u8]> {
    take_while1(|b: u8| b.is_ascii_digit()).parse(input)
}

/// A hint without its `+`.
pub(super) fn hint_text(input: &[u8]) -> IResult<&[u8], &[u8]> {
    recognize(pair(
        take_while_m_n(1, 1, |b: u8| b.is_ascii_uppercase()),
        take_while(|b: u8| b.is_ascii_alphanumeric() || matches!(b, b'@' | b'_' | b'-')),
    ))
    .parse(input)
}

/// `Rcluster-signature@expiry`.
fn remote_hint(hint: &str) -> Option<(ClusterId, &str)> {
    let (cluster, signature) = hint.strip_prefix('R')?.split_once('-')?;
    Some((ClusterId::parse(cluster.as_bytes())?, signature))
}
