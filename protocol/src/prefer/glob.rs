//! File name patterns. Source: `docs/spec/preferred-content.md` §5.

/// A pattern that a whole text has to match: `*`, `?`, `[...]`, everything else stands for itself.
///
/// A pattern with a class that cannot be read matches nothing (git-annex would stop with an error).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Glob {
    pieces: Option<Vec<Piece>>,
    fold_case: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    One(u32),
    Any,
    /// Any number of characters.
    Many,
    /// Any number of slashes.
    Slashes,
    Class {
        negated: bool,
        items: Vec<Item>,
    },
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Item {
    Range(u32, u32),
    Named(Name),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Name {
    Alnum,
    Alpha,
    Blank,
    Cntrl,
    Digit,
    Graph,
    Lower,
    Print,
    Punct,
    Space,
    Upper,
    Xdigit,
}

impl Glob {
    /// Returns the pattern for file names: `/` matches a run of slashes.
    pub(super) fn for_files(pattern: &[u8]) -> Self {
        let pieces = compile(pattern).map(|pieces| {
            let slashes = |piece| match piece {
                Piece::One(c) if c == u32::from('/') => vec![Piece::One(c), Piece::Slashes],
                piece => vec![piece],
            };
            pieces.into_iter().flat_map(slashes).collect()
        });
        Self { pieces, fold_case: false }
    }

    /// Returns the pattern for other text, which may ignore case.
    pub(super) fn for_text(pattern: &[u8], fold_case: bool) -> Self {
        Self { pieces: compile(pattern), fold_case }
    }

    /// Tells whether all of `text` matches. Costs at most the product of both lengths.
    pub(super) fn matches(&self, text: &[u8]) -> bool {
        let Some(pieces) = &self.pieces else { return false };
        // `true` at i: the text so far matches the first i pieces.
        let mut states = vec![false; pieces.len() + 1];
        if let Some(first) = states.first_mut() {
            *first = true;
        }
        skip_empty(pieces, &mut states);
        for c in characters(text) {
            let mut next = vec![false; states.len()];
            for (at, piece) in pieces.iter().enumerate() {
                if !states.get(at).copied().unwrap_or(false) || !self.accepts(piece, c) {
                    continue;
                }
                let stays = matches!(piece, Piece::Many | Piece::Slashes);
                if let Some(state) = next.get_mut(if stays { at } else { at + 1 }) {
                    *state = true;
                }
            }
            skip_empty(pieces, &mut next);
            states = next;
        }
        states.last().copied().unwrap_or(false)
    }

    fn accepts(&self, piece: &Piece, c: u32) -> bool {
        let any_case = |test: &dyn Fn(u32) -> bool| test(c) || self.fold_case && cases(c).into_iter().any(test);
        match piece {
            Piece::Any | Piece::Many => true,
            Piece::Slashes => c == u32::from('/'),
            Piece::One(own) => any_case(&|c| c == *own),
            Piece::Class { negated, items } => any_case(&|c| items.iter().any(|item| item.holds(c))) != *negated,
        }
    }
}

impl Item {
    fn holds(&self, c: u32) -> bool {
        match self {
            Self::Range(first, last) => (*first..=*last).contains(&c),
            Self::Named(name) => char::from_u32(c).is_some_and(|c| name.holds(c)),
        }
    }
}

impl Name {
    fn parse(name: &[u32]) -> Option<Self> {
        let name: String = name.iter().filter_map(|c| char::from_u32(*c)).collect();
        Some(match name.as_str() {
            "alnum" => Self::Alnum,
            "alpha" => Self::Alpha,
            "blank" => Self::Blank,
            "cntrl" => Self::Cntrl,
            "digit" => Self::Digit,
            "graph" => Self::Graph,
            "lower" => Self::Lower,
            "print" => Self::Print,
            "punct" => Self::Punct,
            "space" => Self::Space,
            "upper" => Self::Upper,
            "xdigit" => Self::Xdigit,
            _ => return None,
        })
    }

    fn holds(self, c: char) -> bool {
        match self {
            Self::Alnum => c.is_ascii_alphanumeric(),
            Self::Alpha => c.is_ascii_alphabetic(),
            Self::Blank => matches!(c, ' ' | '\t'),
            Self::Cntrl => c.is_ascii_control(),
            Self::Digit => c.is_ascii_digit(),
            Self::Graph => c.is_ascii_graphic(),
            Self::Lower => c.is_ascii_lowercase(),
            Self::Print => c == ' ' || c.is_ascii_graphic(),
            Self::Punct => c.is_ascii_punctuation(),
            Self::Space => c.is_ascii_whitespace() || c == '\x0b',
            Self::Upper => c.is_ascii_uppercase(),
            Self::Xdigit => c.is_ascii_hexdigit(),
        }
    }
}

/// Marks what can be reached without a further character.
fn skip_empty(pieces: &[Piece], states: &mut [bool]) {
    let mut reached = false;
    for (state, piece) in states.iter_mut().zip(pieces.iter().map(Some).chain([None])) {
        *state |= reached;
        reached = *state && matches!(piece, Some(Piece::Many | Piece::Slashes));
    }
}

/// Returns the characters; a byte outside UTF-8 is a character of its own, as in the file system encoding of GHC.
fn characters(text: &[u8]) -> impl Iterator<Item = u32> {
    text.utf8_chunks().flat_map(|chunk| {
        chunk.valid().chars().map(u32::from).chain(chunk.invalid().iter().map(|byte| 0xdc00 + u32::from(*byte)))
    })
}

fn cases(c: u32) -> [u32; 2] {
    let Some(known) = char::from_u32(c) else { return [c; 2] };
    let first = |c: Option<char>| c.map_or(u32::from(known), u32::from);
    [first(known.to_lowercase().next()), first(known.to_uppercase().next())]
}

fn compile(pattern: &[u8]) -> Option<Vec<Piece>> {
    let pattern: Vec<u32> = characters(pattern).collect();
    let mut rest = pattern.as_slice();
    let mut pieces = Vec::new();
    while let Some((c, after)) = rest.split_first() {
        rest = after;
        pieces.push(match char::from_u32(*c) {
            Some('*') => Piece::Many,
            Some('?') => Piece::Any,
            Some('[') => class(&mut rest)?,
            _ => Piece::One(*c),
        });
    }
    Some(pieces)
}

/// Reads a class after its `[`: a `]` in first place stands for itself.
///
/// git-annex takes a class to end at the first `]`, escapes what follows, and gives the whole to a regular expression
/// library, which reads on: so a class with another `]` inside it holds `\`, too.
fn class(rest: &mut &[u32]) -> Option<Piece> {
    let is = |c: Option<&u32>, wanted: char| c == Some(&u32::from(wanted));
    let negated = is(rest.first(), '!') || is(rest.first(), '^');
    *rest = rest.get(usize::from(negated)..)?;
    let mut items = Vec::new();
    let mut inner_bracket = false;
    loop {
        let (c, after) = rest.split_first()?;
        *rest = after;
        if is(Some(c), ']') && !items.is_empty() {
            if inner_bracket {
                items.push(Item::Range(u32::from('\\'), u32::from('\\')));
            }
            return Some(Piece::Class { negated, items });
        }
        inner_bracket |= is(Some(c), ']');
        if is(Some(c), '[') && (is(rest.first(), ':') || is(rest.first(), '=')) {
            items.push(named(rest)?);
            inner_bracket = true;
            continue;
        }
        let range = is(rest.first(), '-') && rest.len() > 1 && !is(rest.get(1), ']');
        let last = if range { *rest.get(1)? } else { *c };
        *rest = rest.get(if range { 2 } else { 0 }..)?;
        if last < *c {
            return None;
        }
        items.push(Item::Range(*c, last));
    }
}

/// Reads `:name:]` or `=c=]`.
fn named(rest: &mut &[u32]) -> Option<Item> {
    let (mark, after) = rest.split_first()?;
    let end = after.windows(2).position(|pair| pair == [*mark, u32::from(']')])?;
    let name = after.get(..end)?;
    *rest = after.get(end + 2..)?;
    match name {
        [c] if *mark == u32::from('=') => Some(Item::Range(*c, *c)),
        name if *mark == u32::from(':') => Name::parse(name).map(Item::Named),
        _ => None,
    }
}
