//! git's `proc-receive` hook: takes pushes of the git-annex branch and merges them, instead of git replacing the branch.
//!
//! git runs it inside `git receive-pack` for the references named by `receive.procReceiveRefs`.
//! Source: git's documentation of hooks (githooks, proc-receive) and of the pkt-line format.

use std::io::{self, BufRead, Read, Write};

use annex_gateway::branch::merge::{Merged, Terms};
use annex_gateway::branch::{Branch, BranchError, REF};
use annex_gateway::git::{GitError, ObjectId};
use annex_protocol::log::LogKind;

pub mod update;

/// The branch under which clients push their git-annex branch when ours has moved on.
const SYNCED_REF: &str = "refs/heads/synced/git-annex";

/// One reference that a client wants to move.
#[derive(Debug, PartialEq, Eq)]
struct Command {
    new: String,
    name: String,
}

/// Runs the hook's conversation with git over `input` and `output`. What the pusher should read goes to `messages`.
pub fn proc_receive(
    branch: &Branch,
    terms: &Terms,
    input: &mut dyn BufRead,
    output: &mut dyn Write,
    messages: &mut dyn Write,
) -> io::Result<()> {
    let greeting = read_section(input)?;
    if !greeting.first().is_some_and(|line| line.starts_with(b"version=1")) {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "git speaks another version of proc-receive"));
    }
    write_line(output, b"version=1\0")?;
    write_end(output)?;
    let commands: Vec<Command> = read_section(input)?.iter().filter_map(|line| Command::parse(line)).collect();
    for command in &commands {
        match receive(branch, terms, command) {
            Ok(merged) => {
                report(&merged, messages)?;
                // Not told where the branch now is (option new-oid): a client that has no such object yet complains.
                write_line(output, format!("ok {}", command.name).as_bytes())?;
            }
            Err(reason) => {
                let reason = reason.replace('\n', " ");
                write_line(output, format!("ng {} {reason}", command.name).as_bytes())?;
            }
        }
    }
    write_end(output)
}

fn receive(branch: &Branch, terms: &Terms, command: &Command) -> Result<Merged, String> {
    let Ok(pushed) = ObjectId::from_hex(command.new.as_bytes()) else {
        return Err("not an object id".to_owned());
    };
    if pushed.is_null() {
        return Err("the git-annex branch cannot be deleted".to_owned());
    }
    let merged = branch.merge(pushed, terms.clone()).map_err(|error| error.to_string())?;
    branch.note_claims(&merged.claims).map_err(|error| error.to_string())?;
    if command.name == SYNCED_REF {
        follow(branch, merged.tip).map_err(|error| error.to_string())?;
    }
    Ok(merged)
}

/// Points `synced/git-annex` to the merged branch, so that nobody merges there what was left out here.
fn follow(branch: &Branch, tip: ObjectId) -> Result<(), BranchError> {
    let git = branch.git();
    loop {
        let old = git.tip(SYNCED_REF)?;
        if old == Some(tip) {
            return Ok(());
        }
        match git.move_ref(SYNCED_REF, old, tip) {
            Err(GitError::Moved { .. }) => {}
            moved => return Ok(moved?),
        }
    }
}

fn report(merged: &Merged, messages: &mut dyn Write) -> io::Result<()> {
    for file in &merged.refused {
        let what = match LogKind::of(file.as_bytes()) {
            LogKind::Numcopies | LogKind::Mincopies => "the number of copies",
            LogKind::Trust => "trust",
            _ => "placement",
        };
        writeln!(messages, "annex-keep: your changes of {file} were left out: only an admin may change {what} here")?;
    }
    messages.flush()
}

impl Command {
    /// Parses `OLD NEW REF`.
    fn parse(line: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(line).ok()?;
        let mut words = text.trim_end_matches('\n').splitn(3, ' ').skip(1);
        let (new, name) = (words.next()?.to_owned(), words.next()?.to_owned());
        (name == REF || name == SYNCED_REF).then_some(Self { new, name })
    }
}

/// Reads pkt-lines up to the next flush packet.
fn read_section(input: &mut dyn BufRead) -> io::Result<Vec<Vec<u8>>> {
    let mut lines = Vec::new();
    loop {
        let mut length = [0; 4];
        input.read_exact(&mut length)?;
        let invalid = || io::Error::new(io::ErrorKind::InvalidData, "not a pkt-line");
        let text = std::str::from_utf8(&length).map_err(|_| invalid())?;
        let length = u64::from_str_radix(text, 16).map_err(|_| invalid())?;
        if length == 0 {
            return Ok(lines);
        }
        let mut line = Vec::new();
        let content = length.checked_sub(4).ok_or_else(invalid)?;
        input.take(content).read_to_end(&mut line)?;
        if line.len() as u64 != content {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        lines.push(line);
    }
}

fn write_line(output: &mut dyn Write, line: &[u8]) -> io::Result<()> {
    write!(output, "{:04x}", line.len() + 4)?;
    output.write_all(line)
}

fn write_end(output: &mut dyn Write) -> io::Result<()> {
    output.write_all(b"0000")?;
    output.flush()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packets(lines: &[&[u8]]) -> Vec<u8> {
        let mut out = Vec::new();
        for line in lines {
            write_line(&mut out, line).unwrap();
        }
        write_end(&mut out).unwrap();
        out
    }

    #[test]
    fn sections_are_read_as_they_are_written() {
        let bytes = packets(&[b"version=1\0push-options", b"a b refs/heads/git-annex"]);
        let mut input = bytes.as_slice();
        let lines = read_section(&mut input).unwrap();
        assert_eq!(lines, [b"version=1\0push-options".to_vec(), b"a b refs/heads/git-annex".to_vec()]);
        assert!(input.is_empty());
    }

    #[test]
    fn broken_packets_are_errors() {
        for bytes in [&b"00"[..], b"zzzz", b"0003", b"0010ab"] {
            let mut input = bytes;
            let read = read_section(&mut input);
            assert!(read.is_err(), "{bytes:?}");
        }
    }

    #[test]
    fn only_the_git_annex_branch_is_taken() {
        assert!(Command::parse(b"0 1 refs/heads/main").is_none());
        let command = Command::parse(b"0 1 refs/heads/synced/git-annex\n").unwrap();
        assert_eq!(command, Command { new: "1".into(), name: SYNCED_REF.into() });
    }
}
