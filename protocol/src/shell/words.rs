//! Shell words.

/// A quote or a backslash at the end of the line has nothing after it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("unterminated quote")]
pub struct UnterminatedQuote;

/// Splits a command line into words, by the rules of POSIX quoting.
///
/// Understands what git-annex (`'"'"'`) and git (`'\''`, `'\!'`) write. Nothing is expanded or interpreted: `$`, `;`,
/// `*`, `~` and the like stand for themselves.
pub fn split(line: &[u8]) -> Result<Vec<Vec<u8>>, UnterminatedQuote> {
    let mut words = Vec::new();
    let mut word: Option<Vec<u8>> = None;
    let mut rest = line.iter().copied();
    while let Some(byte) = rest.next() {
        match byte {
            b' ' | b'\t' | b'\n' => words.extend(word.take()),
            b'\'' => {
                let word = word.get_or_insert_default();
                loop {
                    match rest.next().ok_or(UnterminatedQuote)? {
                        b'\'' => break,
                        byte => word.push(byte),
                    }
                }
            }
            b'"' => {
                let word = word.get_or_insert_default();
                loop {
                    match rest.next().ok_or(UnterminatedQuote)? {
                        b'"' => break,
                        b'\\' => match rest.next().ok_or(UnterminatedQuote)? {
                            b'\n' => {}
                            byte @ (b'"' | b'\\' | b'$' | b'`') => word.push(byte),
                            byte => word.extend_from_slice(&[b'\\', byte]),
                        },
                        byte => word.push(byte),
                    }
                }
            }
            b'\\' => match rest.next().ok_or(UnterminatedQuote)? {
                b'\n' => {}
                byte => word.get_or_insert_default().push(byte),
            },
            byte => word.get_or_insert_default().push(byte),
        }
    }
    words.extend(word);
    Ok(words)
}

/// Quotes a word for a shell, as git-annex does.
pub fn quote(word: &[u8]) -> Vec<u8> {
    let mut out = vec![b'\''];
    for byte in word {
        match byte {
            b'\'' => out.extend_from_slice(br#"'"'"'"#),
            byte => out.push(*byte),
        }
    }
    out.push(b'\'');
    out
}
