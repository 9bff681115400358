//! git-annex-shell command lines: no input panics; words and commands are quoted and read again.
//!
//! The input is the only directory allowed, then the command line.
#![no_main]

use annex_protocol::shell::{Command, Limits, quote, split};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let mut lines = input.splitn(2, |byte| *byte == b'\n');
    let (allowed, line) = (lines.next().unwrap_or_default(), lines.next().unwrap_or_default());
    if let Ok(words) = split(line) {
        let quoted = words.iter().map(|word| quote(word)).collect::<Vec<_>>().join(&b' ');
        assert_eq!(split(&quoted), Ok(words.clone()));
        let _ = Command::from_arguments(&words);
    }
    let Ok(command) = Command::parse(line) else { return };
    if let Command::Annex(annex) = &command {
        assert_eq!(Command::parse(&annex.to_line()).as_ref(), Ok(&command));
    }
    let limits = |directory: &[u8]| {
        Limits::from_environment(|name| (name == "GIT_ANNEX_SHELL_DIRECTORY").then(|| directory.to_vec()))
    };
    let _ = limits(allowed).check(&command, b"/home/git");
    if let Some(directory) = command.directory() {
        directory.parts();
        assert_eq!(limits(directory.as_bytes()).check(&command, b"/home/git"), Ok(()));
    }
});
