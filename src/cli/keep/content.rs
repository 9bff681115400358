//! `annex-keep keep put` and `get`.

use std::ffi::OsString;
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use annex_protocol::keep::Locator;
use bytes::{Bytes, BytesMut};
use futures_util::stream::BoxStream;
use futures_util::{StreamExt, TryStreamExt};
use keep_store::entries::{KeepStore, Options};
use keep_store::index::Entry;
use keep_store::store::Block;
use keep_store::store::dir::Create;
use serde_json::json;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use super::Store;
use crate::cli::output::{Lines, Tally, shown};
use crate::error::Failure;

/// Store files, or standard input, as entries.
#[derive(Debug, clap::Args)]
pub(super) struct Put {
    #[command(flatten)]
    store: Store,
    /// Files to store, each under its own name; none or `-` for standard input
    files: Vec<PathBuf>,
    /// Whose entries they are
    #[arg(long, default_value = "files")]
    owner: OsString,
    /// The name to store one content under
    #[arg(long)]
    name: Option<OsString>,
    /// Bytes at which content is cut into blocks
    #[arg(long, default_value_t = keep_store::base::stream::MAX_BLOCK, value_parser = clap::value_parser!(u32).range(1..=1 << 26))]
    block_size: u32,
    /// Make the store if it is missing
    #[arg(long)]
    create: bool,
    /// Print one JSON object a line
    #[arg(long)]
    json: bool,
}

/// Fetch an entry, or a block by its locator.
#[derive(Debug, clap::Args)]
pub(super) struct Get {
    #[command(flatten)]
    store: Store,
    /// An entry's name, or a block's locator (`<md5>+<size>`)
    what: OsString,
    /// Whose entry it is
    #[arg(long, default_value = "files")]
    owner: OsString,
    /// The file to write; standard output if not given
    #[arg(short, long)]
    output: Option<PathBuf>,
    /// Bytes to leave out at the beginning
    #[arg(long, default_value_t = 0)]
    offset: u64,
}

const CHUNK: usize = 256 << 10;

impl Put {
    pub(super) async fn run(self) -> Result<ExitCode, Failure> {
        let sources = if self.files.is_empty() { vec![PathBuf::from("-")] } else { self.files.clone() };
        if self.name.is_some() && sources.len() > 1 {
            return Err(Failure::usage("--name names one content, and there are several"));
        }
        let create = if self.create { Create::IfMissing } else { Create::Never };
        let options = Options { block_size: self.block_size, ..Options::default() };
        let store = self.store.place()?.open(create, options).await?;
        let mut lines = Lines::new();
        let mut tally = Tally::default();
        for source in &sources {
            match self.put(&store, source).await {
                Ok(entry) => {
                    let (manifest, hash) = (entry.manifest, store.portable_data_hash(&entry)?);
                    lines.line(if self.json {
                        let (name, size) = (shown(&entry.name), entry.size);
                        json!({ "name": name, "size": size, "manifest": manifest.to_string(), "portable_data_hash": hash })
                            .to_string()
                    } else {
                        format!("{} {} {manifest} {hash}", shown(&entry.name), entry.size)
                    })?;
                    tally.done();
                }
                Err(failure) => tally.failed(format_args!("{}: {}", source.display(), failure.text)),
            }
        }
        lines.end()?;
        Ok(tally.code())
    }

    async fn put(&self, store: &KeepStore, source: &Path) -> Result<Entry, Failure> {
        let standard_input = source == Path::new("-");
        let name = match (&self.name, source.file_name()) {
            (Some(name), _) => name.as_bytes(),
            (None, Some(name)) if !standard_input => name.as_bytes(),
            _ => return Err(Failure::usage("standard input needs a --name")),
        };
        let mut upload = store.write(self.owner.as_bytes(), name).await?;
        // What an earlier attempt left may be of another content.
        if upload.offset() > 0 {
            upload.restart().await?;
        }
        let mut from: Box<dyn AsyncRead + Unpin> =
            if standard_input { Box::new(tokio::io::stdin()) } else { Box::new(tokio::fs::File::open(source).await?) };
        let mut read = async || {
            let mut buffer = BytesMut::with_capacity(CHUNK);
            while buffer.len() < CHUNK && from.read_buf(&mut buffer).await? > 0 {}
            Ok::<Bytes, io::Error>(buffer.freeze())
        };
        loop {
            match read().await {
                Ok(bytes) if bytes.is_empty() => return Ok(upload.commit().await?),
                Ok(bytes) => upload.push(bytes).await?,
                Err(error) => {
                    upload.abort().await?;
                    return Err(error.into());
                }
            }
        }
    }
}

impl Get {
    pub(super) async fn run(self) -> Result<ExitCode, Failure> {
        let store = self.store.open().await?;
        let what = self.what.as_bytes();
        let locator = self.what.to_str().and_then(|text| Locator::parse(text.as_bytes()).ok());
        let content = match store.read(self.owner.as_bytes(), what, self.offset).await? {
            Some(content) => Some(content.stream),
            None => match locator {
                Some(locator) => self.block(&store, &locator).await?,
                None => None,
            },
        };
        let Some(content) = content else {
            let owner = shown(self.owner.as_bytes());
            return Err(Failure::failed(format!("{} holds no {} of {owner}", store.name(), shown(what))));
        };
        match &self.output {
            Some(path) => write_file(path, content).await?,
            None => write(&mut tokio::io::stdout(), content).await?,
        }
        Ok(ExitCode::SUCCESS)
    }

    async fn block(
        &self,
        store: &KeepStore,
        locator: &Locator,
    ) -> Result<Option<BoxStream<'static, io::Result<Bytes>>>, Failure> {
        let block = Block::try_from(locator).map_err(Failure::usage)?;
        let from = u32::try_from(self.offset).unwrap_or(u32::MAX);
        let bytes = store.blocks().read(block, from, 0).await?;
        Ok(bytes.map(|bytes| bytes.map_err(io::Error::other).boxed()))
    }
}

/// Writes beside the target and renames, so that a damaged block leaves no file that looks whole.
async fn write_file(path: &Path, content: BoxStream<'static, io::Result<Bytes>>) -> Result<(), Failure> {
    let mut temporary = path.as_os_str().to_owned().into_vec();
    temporary.extend_from_slice(format!(".{}.part", std::process::id()).as_bytes());
    let temporary = PathBuf::from(OsString::from_vec(temporary));
    let mut file = tokio::fs::File::create_new(&temporary).await?;
    let written = write(&mut file, content).await;
    let renamed = match written {
        Ok(()) => tokio::fs::rename(&temporary, path).await.map_err(Failure::from),
        Err(failure) => Err(failure),
    };
    if renamed.is_err() {
        tokio::fs::remove_file(&temporary).await?;
    }
    renamed
}

async fn write(
    to: &mut (impl AsyncWrite + Unpin),
    mut content: BoxStream<'static, io::Result<Bytes>>,
) -> Result<(), Failure> {
    while let Some(bytes) = content.next().await {
        to.write_all(&bytes?).await?;
    }
    Ok(to.flush().await?)
}
