//! The special remote program over its pipes, with a host of our own: what git-annex itself does not exercise.

// Helpers of tests stand outside of test functions; what fails in them fails the test.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use tempfile::TempDir;

#[path = "special_remote/jobs.rs"]
mod jobs;
#[path = "special_remote/protocol.rs"]
mod protocol;
#[path = "special_remote/transfers.rs"]
mod transfers;

const UUID: &str = "0aaa1111-2222-3333-4444-555566667777";

/// Long enough for a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// The program, and what is said with it.
struct Host {
    program: Child,
    input: Option<ChildStdin>,
    lines: Receiver<Vec<u8>>,
    /// The answer to GETCONFIG store; empty: not set.
    store: PathBuf,
    /// What the program set by SETCONFIG.
    set: Vec<String>,
}

/// A directory for a test: `store` in it, and files.
struct Place(TempDir);

impl Place {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_annex-keep"), dir.path().join("git-annex-remote-keep")).unwrap();
        Self(dir)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn store(&self) -> PathBuf {
        self.path("store")
    }

    fn file(&self, name: &str, content: &[u8]) -> PathBuf {
        let path = self.path(name);
        std::fs::write(&path, content).unwrap();
        path
    }

    /// Starts the program and reads its VERSION.
    fn start(&self) -> Host {
        let mut program = Command::new(self.path("git-annex-remote-keep"))
            .current_dir(self.0.path())
            .env("HOME", self.0.path())
            .env_remove("XDG_DATA_HOME")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let input = program.stdin.take();
        let mut output = BufReader::new(program.stdout.take().unwrap());
        let (send, lines) = channel();
        std::thread::spawn(move || {
            let mut line = Vec::new();
            while output.read_until(b'\n', &mut line).is_ok_and(|size| size > 0) {
                assert_eq!(line.pop(), Some(b'\n'), "a line without an end");
                if send.send(std::mem::take(&mut line)).is_err() {
                    return;
                }
            }
        });
        let mut host = Host { program, input, lines, store: self.store(), set: Vec::new() };
        assert_eq!(host.line(), "VERSION 2");
        host
    }

    /// Starts the program and makes the store, or takes the one that is there.
    fn prepared(&self) -> Host {
        let mut host = self.start();
        assert_eq!(host.ask("INITREMOTE"), "INITREMOTE-SUCCESS");
        assert_eq!(host.ask("PREPARE"), "PREPARE-SUCCESS");
        host
    }
}

impl Host {
    fn send(&mut self, line: impl AsRef<[u8]>) {
        let line = [line.as_ref(), b"\n"].concat();
        self.input.as_mut().unwrap().write_all(&line).unwrap();
    }

    fn bytes(&mut self) -> Vec<u8> {
        self.lines.recv_timeout(PATIENCE).expect("the program says something")
    }

    fn line(&mut self) -> String {
        String::from_utf8(self.bytes()).unwrap()
    }

    /// Sends a request, answers what the program asks for, and returns the answer; PROGRESS is left out.
    fn ask(&mut self, request: &str) -> String {
        self.send(request);
        self.answer("")
    }

    /// Answers the questions of a job (`J 1 ` or nothing) until the answer comes.
    fn answer(&mut self, job: &str) -> String {
        loop {
            let line = self.line();
            let message = line.strip_prefix(job).unwrap_or_else(|| panic!("{line} is not for {job}"));
            if let Some(reply) = self.reply(message) {
                self.send([job.as_bytes(), &reply].concat());
            } else if message.starts_with("SETCONFIG ") {
                self.set.push(message.to_owned());
            } else if !message.starts_with("PROGRESS ") && !message.starts_with("INFO ") {
                return message.to_owned();
            }
        }
    }

    fn reply(&self, question: &str) -> Option<Vec<u8>> {
        use std::os::unix::ffi::OsStrExt as _;
        match question {
            "GETCONFIG store" => Some([b"VALUE ", self.store.as_os_str().as_bytes()].concat()),
            "GETUUID" => Some(format!("VALUE {UUID}").into_bytes()),
            _ if question.starts_with("GETCONFIG ") => Some(b"VALUE ".to_vec()),
            _ => None,
        }
    }

    fn store(&mut self, key: &str, file: &Path) -> String {
        self.ask(&format!("TRANSFER STORE {key} {}", file.display()))
    }

    fn retrieve(&mut self, key: &str, file: &Path) -> String {
        self.ask(&format!("TRANSFER RETRIEVE {key} {}", file.display()))
    }

    fn present(&mut self, key: &str) -> String {
        self.ask(&format!("CHECKPRESENT {key}"))
    }

    /// Closes the program's input and waits for its end.
    fn close(&mut self) -> ExitStatus {
        self.input = None;
        self.end()
    }

    fn end(&mut self) -> ExitStatus {
        let start = Instant::now();
        loop {
            if let Some(status) = self.program.try_wait().unwrap() {
                return status;
            }
            assert!(start.elapsed() < PATIENCE, "the program does not end");
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        let _ended = self.program.kill();
        let _reaped = self.program.wait();
    }
}
