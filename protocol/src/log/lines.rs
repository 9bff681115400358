//! What all logs share: where lines end. Source: `docs/spec/git-annex-branch.md` §4.

/// Returns the lines of a file: separated by any run of CR and LF, none of them empty. The last needs no line end.
pub(crate) fn lines(content: &[u8]) -> impl Iterator<Item = &[u8]> {
    content.split(|byte| matches!(byte, b'\n' | b'\r')).filter(|line| !line.is_empty())
}

/// Splits at the first space; `None` without one or when the first word is empty.
pub(crate) fn word(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let space = text.iter().position(|byte| *byte == b' ').filter(|at| *at > 0)?;
    Some((text.get(..space)?, text.get(space + 1..)?))
}

/// Returns the words of a list, separated by one or more spaces.
pub(crate) fn words(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text.split(|byte| *byte == b' ').filter(|word| !word.is_empty())
}

/// Appends one line.
pub(crate) fn push_line(out: &mut Vec<u8>, parts: &[&[u8]]) {
    for part in parts {
        out.extend_from_slice(part);
    }
    out.push(b'\n');
}

/// Returns a value that fits one line: line ends inside it become spaces.
pub(crate) fn one_line(mut value: Vec<u8>) -> Vec<u8> {
    for byte in &mut value {
        if matches!(byte, b'\n' | b'\r') {
            *byte = b' ';
        }
    }
    value
}

/// Parses a decimal number without sign, of which all of `text` must be part.
pub(crate) fn decimal(text: &[u8]) -> Option<u64> {
    let digits = !text.is_empty() && text.iter().all(u8::is_ascii_digit);
    std::str::from_utf8(text).ok().filter(|_| digits)?.parse().ok()
}
