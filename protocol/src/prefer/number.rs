//! Numbers as git-annex reads them: in counts and sizes, what follows is ignored. Source:
//! `docs/spec/preferred-content.md` §5.

use nom::branch::alt;
use nom::bytes::complete::{tag, tag_no_case, take_while1};
use nom::character::complete::{digit1, one_of};
use nom::combinator::{map_opt, not, opt, recognize, value};
use nom::sequence::{pair, preceded};
use nom::{IResult, Parser};

/// Reads a whole number, perhaps negative, at the start of `text`. `1x` is 1; `1.5`, `1e2` and `+1` are none.
pub(super) fn integer(text: &[u8]) -> Option<i64> {
    let decimal = (digit1, not((tag(&b"."[..]), digit1)), not(exponent)).map(|(digits, ..)| saturated(digits, 10));
    let (_, (minus, number)) = pair(opt(tag(&b"-"[..])), alt((hexadecimal, decimal))).parse(text).ok()?;
    Some(if minus.is_some() { -number } else { number })
}

/// Reads a text that is a floating point number, perhaps with white space around it.
pub(super) fn float(text: &[u8]) -> Option<f64> {
    number(text.trim_ascii()).ok().filter(|(rest, _)| rest.is_empty()).map(|(_, number)| number)
}

/// Reads a size with a unit, `1.5kb`: bytes, rounded half to even.
pub fn size(text: &[u8]) -> Option<i128> {
    let (rest, number) = number(text).ok()?;
    let end = rest.iter().position(|byte| !byte.is_ascii_alphabetic()).unwrap_or(rest.len());
    let unit = unit(&rest.get(..end)?.to_ascii_lowercase())?;
    let bytes = number * unit;
    // What rounding gives there is a number with hundreds of digits, and negative for "not a number".
    Some(if bytes.is_nan() { i128::MIN } else { bytes.round_ties_even() as i128 })
}

const PREFIXES: [(&str, &str); 10] = [
    ("k", "kilo"),
    ("m", "mega"),
    ("g", "giga"),
    ("t", "tera"),
    ("p", "peta"),
    ("e", "exa"),
    ("z", "zetta"),
    ("y", "yotta"),
    ("r", "ronna"),
    ("q", "quetta"),
];

const BINARY_PREFIXES: [(&str, &str); 8] = [
    ("ki", "kibi"),
    ("mi", "mebi"),
    ("gi", "gibi"),
    ("ti", "tebi"),
    ("pi", "pebi"),
    ("ei", "exbi"),
    ("zi", "zebi"),
    ("yi", "yobi"),
];

fn unit(name: &[u8]) -> Option<f64> {
    let name = std::str::from_utf8(name).ok()?;
    if matches!(name, "" | "b" | "byte" | "bytes") {
        return Some(1.0);
    }
    let after = |prefix: &str, endings: &[&str]| name.strip_prefix(prefix).is_some_and(|end| endings.contains(&end));
    let find = |table: &[(&str, &str)], base: f64, short: &[&str], long: &[&str]| {
        let mut factor = 1.0;
        table.iter().find_map(|(prefix, word)| {
            factor *= base;
            (after(prefix, short) || after(word, long)).then_some(factor)
        })
    };
    let bytes = ["byte", "bytes"];
    find(&PREFIXES, 1000.0, &["", "b"], &bytes)
        .or_else(|| find(&BINARY_PREFIXES, 1024.0, &["", "b"], &bytes))
        .or_else(|| find(&PREFIXES, 1000.0, &["bit"], &["bit", "bits"]).map(|factor| factor / 8.0))
}

fn number(input: &[u8]) -> IResult<&[u8], f64> {
    let text = recognize((digit1, opt(preceded(tag(&b"."[..]), digit1)), opt(exponent)));
    let decimal = map_opt(text, |text: &[u8]| std::str::from_utf8(text).ok()?.parse::<f64>().ok());
    let special = alt((value(f64::NAN, tag(&b"NaN"[..])), value(f64::INFINITY, tag(&b"Infinity"[..]))));
    let whole = hexadecimal.map(|number| number as f64);
    pair(opt(tag(&b"-"[..])), alt((special, whole, decimal)))
        .map(|(minus, number)| if minus.is_some() { -number } else { number })
        .parse(input)
}

fn exponent(input: &[u8]) -> IResult<&[u8], &[u8]> {
    recognize((one_of(&b"eE"[..]), opt(one_of(&b"+-"[..])), digit1)).parse(input)
}

fn hexadecimal(input: &[u8]) -> IResult<&[u8], i64> {
    let digits = take_while1(|byte: u8| byte.is_ascii_hexdigit());
    preceded(tag_no_case(&b"0x"[..]), digits).map(|digits: &[u8]| saturated(digits, 16)).parse(input)
}

fn saturated(digits: &[u8], radix: u32) -> i64 {
    let text = std::str::from_utf8(digits).unwrap_or_default();
    i64::from_str_radix(text, radix).unwrap_or(i64::MAX)
}
