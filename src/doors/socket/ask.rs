//! What a client of the site's socket says: fields that end in NUL, after the length of them all.

use std::os::unix::ffi::OsStrExt;

use annex_protocol::shell::Command;

use crate::doors::shell::Refusal;

/// What a client of the socket wants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SocketRequest {
    /// A conversation to be taken over.
    Shell(Told),
    /// How the site is, in JSON.
    Status,
}

/// What `annex-keep shell` was told.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Told {
    /// The user of the site; without one, somebody with access to the site's files.
    pub user: Option<String>,
    /// The client's command line.
    pub line: Option<Vec<u8>>,
    /// The command as arguments, which take the place of a command line.
    pub words: Vec<Vec<u8>>,
    /// What matters of the environment.
    pub variables: Vec<(String, Vec<u8>)>,
}

/// The first field: another form of what follows has another one.
const FORM: &[u8] = b"annex-keep 1";

/// What matters of a shell's environment.
const VARIABLES: [&str; 6] = [
    "HOME",
    "GIT_PROTOCOL",
    "GIT_ANNEX_SHELL_READONLY",
    "GIT_ANNEX_SHELL_APPENDONLY",
    "GIT_ANNEX_SHELL_LIMITED",
    "GIT_ANNEX_SHELL_DIRECTORY",
];

impl Told {
    /// Gathers what this process was told. Arguments take the place of a command line.
    pub fn new(user: Option<String>, words: Vec<Vec<u8>>, line: Option<Vec<u8>>) -> Self {
        let line = line.filter(|_| words.is_empty());
        let variable = |name: &str| Some((name.to_owned(), std::env::var_os(name)?.as_bytes().to_vec()));
        Self { user, line, words, variables: VARIABLES.into_iter().filter_map(variable).collect() }
    }

    /// Returns what the client asks for; `None` for somebody who just logs in.
    pub fn command(&self) -> Result<Option<Command>, Refusal> {
        Ok(match (self.words.as_slice(), &self.line) {
            ([], None) => None,
            ([], Some(line)) => Some(Command::parse(line)?),
            (words, _) => Some(Command::from_arguments(words)?),
        })
    }

    /// Returns a variable of the shell's environment.
    pub fn variable(&self, name: &str) -> Option<Vec<u8>> {
        self.variables.iter().find(|(known, _)| known == name).map(|(_, value)| value.clone())
    }
}

impl SocketRequest {
    /// Returns it as it is sent, without the length.
    pub fn bytes(&self) -> Vec<u8> {
        let mut fields: Vec<Vec<u8>> = vec![FORM.to_vec()];
        let named = |name: &str, value: &[u8]| [name.as_bytes(), b"=", value].concat();
        match self {
            Self::Status => fields.push(b"status".to_vec()),
            Self::Shell(told) => {
                fields.push(b"shell".to_vec());
                fields.extend(told.user.iter().map(|user| named("user", user.as_bytes())));
                fields.extend(told.line.iter().map(|line| named("line", line)));
                fields.extend(told.words.iter().map(|word| named("word", word)));
                fields.extend(told.variables.iter().map(|(name, value)| named(&format!("variable={name}"), value)));
            }
        }
        // Neither arguments nor variables can contain NUL.
        fields.into_iter().flat_map(|field| [field, b"\0".to_vec()].concat()).collect()
    }

    /// Reads what was sent; `None` if it has a form of another version.
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let mut fields = bytes.strip_suffix(b"\0")?.split(|byte| *byte == 0);
        if fields.next()? != FORM {
            return None;
        }
        match fields.next()? {
            b"status" => Some(Self::Status),
            b"shell" => {
                let mut told = Told::default();
                for field in fields {
                    let (name, value) = split(field)?;
                    match name {
                        b"user" => told.user = Some(String::from_utf8(value.to_vec()).ok()?),
                        b"line" => told.line = Some(value.to_vec()),
                        b"word" => told.words.push(value.to_vec()),
                        b"variable" => {
                            let (name, value) = split(value)?;
                            told.variables.push((String::from_utf8(name.to_vec()).ok()?, value.to_vec()));
                        }
                        // A field that is not understood may be a limit, so the conversation is not taken over.
                        _ => return None,
                    }
                }
                Some(Self::Shell(told))
            }
            _ => None,
        }
    }
}

fn split(field: &[u8]) -> Option<(&[u8], &[u8])> {
    let equals = field.iter().position(|byte| *byte == b'=')?;
    Some((field.get(..equals)?, field.get(equals + 1..)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_is_understood() {
        let told = Told {
            user: Some("alice".to_owned()),
            line: Some(b"git-annex-shell 'p2pstdio' '/d=\xff a' ''".to_vec()),
            words: vec![b"-c".to_vec(), Vec::new(), b"a=b\n".to_vec()],
            variables: vec![("HOME".to_owned(), b"/h=1".to_vec()), ("GIT_PROTOCOL".to_owned(), Vec::new())],
        };
        for ask in [SocketRequest::Shell(told), SocketRequest::Shell(Told::default()), SocketRequest::Status] {
            assert_eq!(SocketRequest::parse(&ask.bytes()), Some(ask));
        }
    }

    #[test]
    fn what_is_not_understood_is_not_taken() {
        for bytes in [
            &b""[..],
            b"\0",
            b"annex-keep 2\0status\0",
            b"annex-keep 1\0",
            b"annex-keep 1\0status",
            b"annex-keep 1\0dance\0",
            b"annex-keep 1\0shell\0user\0",
            b"annex-keep 1\0shell\0user=\xff\0",
            b"annex-keep 1\0shell\0limit=x\0",
        ] {
            assert_eq!(SocketRequest::parse(bytes), None, "{}", bytes.escape_ascii());
        }
    }
}
