//! What stands behind the `?` of a node spec: `NAME=VALUE&…`, values written as in a URL.

use std::fmt::{self, Write as _};

/// Reads settings, in their order; the error says which one cannot be read.
pub(in crate::node) fn settings(query: &str) -> impl Iterator<Item = Result<(&str, String), String>> {
    query.split('&').filter(|part| !part.is_empty()).map(|part| {
        let (name, value) = part.split_once('=').ok_or(format!("\"{part}\" should be NAME=VALUE"))?;
        Ok((name, decoded(value).ok_or(format!("\"{part}\" is not written as in a URL"))?))
    })
}

/// Writes settings as they are read, with the `?` before the first.
pub(in crate::node) fn write<'a>(
    f: &mut fmt::Formatter<'_>,
    settings: impl Iterator<Item = (&'a str, &'a str)>,
) -> fmt::Result {
    more(f, '?', settings)
}

/// Writes settings with `first` before the first.
pub(in crate::node) fn more<'a>(
    f: &mut fmt::Formatter<'_>,
    first: char,
    settings: impl Iterator<Item = (&'a str, &'a str)>,
) -> fmt::Result {
    for (index, (name, value)) in settings.enumerate() {
        write!(f, "{}{name}=", if index == 0 { first } else { '&' })?;
        for character in value.chars() {
            match character {
                '%' | '&' | '#' => write!(f, "%{:02X}", u32::from(character))?,
                other => f.write_char(other)?,
            }
        }
    }
    Ok(())
}

/// Decodes `%41`.
fn decoded(text: &str) -> Option<String> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((byte, more)) = rest.split_first() {
        rest = more;
        if *byte != b'%' {
            out.push(*byte);
            continue;
        }
        let (digits, more) = rest.split_at_checked(2)?;
        let digits = std::str::from_utf8(digits).ok().filter(|text| text.bytes().all(|b| b.is_ascii_hexdigit()))?;
        out.push(u8::from_str_radix(digits, 16).ok()?);
        rest = more;
    }
    String::from_utf8(out).ok()
}
