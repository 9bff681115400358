//! Passwords: from standard input, or asked for on the terminal.

use std::io::{self, BufRead, IsTerminal, Write};

use annex_gateway::site::password::Hashed;
use annex_gateway::site::user::Password;
use nix::sys::termios::{LocalFlags, SetArg, Termios, tcgetattr, tcsetattr};

use crate::error::Failure;

#[derive(Debug, clap::Args)]
pub(super) struct PasswordOptions {
    /// Ask for a password for HTTP on the terminal, twice
    #[arg(long, conflicts_with = "password_stdin")]
    password: bool,
    /// Read a password for HTTP from standard input, its first line
    #[arg(long)]
    password_stdin: bool,
}

impl PasswordOptions {
    pub(super) fn read(&self) -> Result<Option<Password>, Failure> {
        let text = match (self.password, self.password_stdin) {
            (true, _) => ask()?,
            (_, true) => line()?,
            _ => return Ok(None),
        };
        Ok(Some(Password::Set(Hashed::of(text.as_bytes())?)))
    }
}

/// The terminal without echo, until this is dropped.
struct Silent(Termios);

impl Silent {
    fn begin() -> io::Result<Self> {
        let before = tcgetattr(io::stdin())?;
        let mut silent = before.clone();
        silent.local_flags.remove(LocalFlags::ECHO);
        silent.local_flags.insert(LocalFlags::ECHONL);
        tcsetattr(io::stdin(), SetArg::TCSAFLUSH, &silent)?;
        Ok(Self(before))
    }
}

impl Drop for Silent {
    fn drop(&mut self) {
        let _ = tcsetattr(io::stdin(), SetArg::TCSAFLUSH, &self.0);
    }
}

fn ask() -> Result<String, Failure> {
    if !io::stdin().is_terminal() {
        return Err(Failure::usage("--password asks on a terminal, and standard input is none: use --password-stdin"));
    }
    let _silent = Silent::begin()?;
    let prompted = |prompt: &str| {
        let mut errors = io::stderr();
        write!(errors, "{prompt}: ")?;
        errors.flush()?;
        line()
    };
    let first = prompted("Password")?;
    if first != prompted("The same again")? {
        return Err(Failure::failed("the two passwords differ: nothing was changed"));
    }
    Ok(first)
}

fn line() -> Result<String, Failure> {
    let mut line = String::new();
    io::stdin().lock().read_line(&mut line)?;
    Ok(line.trim_end_matches(['\n', '\r']).to_owned())
}
