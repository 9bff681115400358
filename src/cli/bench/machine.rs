//! The limits of this machine: what no server on it can pass.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use keep_store::base::task::blocking;
use md5::{Digest, Md5};
use serde::Serialize;
use sha2::Sha256;

use crate::error::Failure;

/// The limits, in MB (millions of bytes) and operations a second.
#[derive(Debug, Serialize)]
pub(super) struct Limits {
    sha256: f64,
    md5: f64,
    disk_write: f64,
    disk_read_cached: f64,
    append_synced: f64,
    file_synced: f64,
    tcp: f64,
    tcp_round_trips: f64,
    pipe_round_trips: f64,
}

const BYTES_AT_ONCE: usize = 256 << 10;
const HASHED: usize = 512 << 20;
const WRITTEN: usize = 512 << 20;
const SENT: usize = 1 << 30;
/// About as long as a question of the P2P protocol about a key.
const LINE: usize = 96;
/// How long small operations are repeated.
const WHILE: Duration = Duration::from_secs(1);

/// Measures; for several seconds. What it writes to `dir` is gone afterwards.
pub(super) async fn measure(dir: &Path) -> Result<Limits, Failure> {
    let dir = dir.join(format!("annex-keep-bench-{}", std::process::id()));
    blocking(move || {
        fs::create_dir(&dir)?;
        let measured = all(&dir);
        fs::remove_dir_all(&dir)?;
        Ok(measured?)
    })
    .await
}

impl Limits {
    /// Returns the limits as lines for people.
    pub(super) fn lines(&self) -> [String; 9] {
        let line = |what: &str, value: f64, unit: &str| format!("{what:<44} {value:>9.0} {unit}");
        [
            line("SHA-256, one core", self.sha256, "MB/s"),
            line("MD5, one core", self.md5, "MB/s"),
            line("disk, one file written and synced", self.disk_write, "MB/s"),
            line("the same file read from memory", self.disk_read_cached, "MB/s"),
            line("disk, 4 KiB appended and synced", self.append_synced, "/s"),
            line("disk, a file of 4 KiB made, synced, renamed", self.file_synced, "/s"),
            line("TCP over loopback, one connection", self.tcp, "MB/s"),
            line("TCP over loopback, there and back", self.tcp_round_trips, "/s"),
            line("a line through another process and back", self.pipe_round_trips, "/s"),
        ]
    }
}

fn all(dir: &Path) -> io::Result<Limits> {
    let part = vec![0x5a; BYTES_AT_ONCE];
    let large = dir.join("large");
    let (tcp, tcp_round_trips) = loopback(&part)?;
    Ok(Limits {
        sha256: hashed::<Sha256>(&part),
        md5: hashed::<Md5>(&part),
        disk_write: rate(WRITTEN, || {
            let mut file = File::create(&large)?;
            (0..WRITTEN / BYTES_AT_ONCE).try_for_each(|_| file.write_all(&part))?;
            file.sync_all()
        })?,
        disk_read_cached: rate(WRITTEN, || {
            let (mut file, mut buffer) = (File::open(&large)?, vec![0; BYTES_AT_ONCE]);
            while file.read(&mut buffer)? > 0 {}
            Ok(())
        })?,
        append_synced: {
            let mut file = File::create(dir.join("appended"))?;
            repeated(|_| {
                file.write_all(part.get(..4096).unwrap_or_default())?;
                file.sync_data()
            })?
        },
        file_synced: {
            let folder = File::open(dir)?;
            repeated(|number| {
                let path = dir.join(format!("{number}.new"));
                let mut file = File::create(&path)?;
                file.write_all(part.get(..4096).unwrap_or_default())?;
                file.sync_data()?;
                fs::rename(&path, dir.join(number.to_string()))?;
                folder.sync_all()
            })?
        },
        tcp,
        tcp_round_trips,
        pipe_round_trips: pipe()?,
    })
}

fn hashed<D: Digest>(part: &[u8]) -> f64 {
    let started = Instant::now();
    let mut digest = D::new();
    for _ in 0..HASHED / BYTES_AT_ONCE {
        digest.update(part);
    }
    std::hint::black_box(digest.finalize());
    HASHED as f64 / 1e6 / started.elapsed().as_secs_f64()
}

/// Sends bytes one way, then single bytes there and back.
fn loopback(part: &[u8]) -> io::Result<(f64, f64)> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    let far_side = thread::spawn(move || -> io::Result<()> {
        let (mut stream, _) = listener.accept()?;
        stream.set_nodelay(true)?;
        let mut buffer = vec![0; BYTES_AT_ONCE];
        let mut left = SENT;
        while left > 0 {
            match stream.read(&mut buffer)? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                length => left -= length,
            }
        }
        let mut byte = [0];
        stream.write_all(&byte)?;
        while stream.read(&mut byte)? > 0 {
            stream.write_all(&byte)?;
        }
        Ok(())
    });
    let mut stream = TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    let mut byte = [0];
    let sent = rate(SENT, || {
        (0..SENT / BYTES_AT_ONCE).try_for_each(|_| stream.write_all(part))?;
        stream.read_exact(&mut byte)
    })?;
    let round_trips = repeated(|_| {
        stream.write_all(&byte)?;
        stream.read_exact(&mut byte)
    })?;
    drop(stream);
    far_side.join().map_err(|_| io::Error::other("the far side was lost"))??;
    Ok((sent, round_trips))
}

/// Sends a line to a process that sends it back: the least that a request over stdio costs.
fn pipe() -> io::Result<f64> {
    let mut echo = Command::new("cat").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
    let (Some(mut there), Some(mut back)) = (echo.stdin.take(), echo.stdout.take()) else {
        return Err(io::ErrorKind::BrokenPipe.into());
    };
    let mut line = [b'x'; LINE];
    let round_trips = repeated(|_| {
        there.write_all(&line)?;
        back.read_exact(&mut line)
    });
    drop((there, back));
    echo.wait()?;
    round_trips
}

/// Returns how many MB a second `work` does when it moves so many bytes.
fn rate(bytes: usize, work: impl FnOnce() -> io::Result<()>) -> io::Result<f64> {
    let started = Instant::now();
    work()?;
    Ok(bytes as f64 / 1e6 / started.elapsed().as_secs_f64())
}

/// Returns how often a second `work` can be done.
fn repeated(mut work: impl FnMut(u32) -> io::Result<()>) -> io::Result<f64> {
    let started = Instant::now();
    let mut count = 0;
    while started.elapsed() < WHILE {
        work(count)?;
        count += 1;
    }
    Ok(f64::from(count) / started.elapsed().as_secs_f64())
}
