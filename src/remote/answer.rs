//! The answer to each request.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Component, Path};

use annex_protocol::external::{
    Availability, Cost, Direction, Extension, RemoteRequest, Request, Response, Text, WireKey, Word,
};

use futures_util::StreamExt as _;

use super::content::{self, Trouble};
use super::job::{Ended, Host};
use super::settings::{self, Words};
use super::shared::{self, Place, Prepared, Shared};
use crate::keep::Create;

/// Why a request failed, in words for the user.
struct Failed(String);

/// A directory on this machine is cheap.
const COST: f64 = 100.0;

/// Does what a request asks for; `None` when it wants no answer.
pub(super) async fn answer(request: Request, host: &mut Host, shared: &Shared) -> Result<Option<Response>, Ended> {
    Ok(Some(match request {
        Request::ListConfigs => list_configs(host).await?,
        Request::InitRemote => match init(host, shared).await? {
            Ok(()) => Response::InitRemoteSuccess,
            Err(text) => Response::InitRemoteFailure { message: message(&text) },
        },
        Request::Prepare => match prepare(host, shared).await? {
            Ok(()) => Response::PrepareSuccess,
            Err(text) => Response::PrepareFailure { message: message(&text) },
        },
        Request::Transfer { direction, key, file } => match transfer(direction, &key, &file, host, shared).await {
            Ok(()) => Response::TransferSuccess { direction, key },
            Err(Trouble::Failed(text)) => Response::TransferFailure { direction, key, message: message(&text) },
            Err(Trouble::Ended(ended)) => return Err(ended),
        },
        Request::CheckPresent { key } => match present(&key, shared).await {
            Ok(true) => Response::CheckPresentSuccess { key },
            Ok(false) => Response::CheckPresentFailure { key },
            Err(Failed(text)) => Response::CheckPresentUnknown { key, message: message(&text) },
        },
        Request::Remove { key } => match remove(&key, shared).await {
            Ok(()) => Response::RemoveSuccess { key },
            Err(Failed(text)) => Response::RemoveFailure { key, message: message(&text) },
        },
        Request::GetCost => match Cost::new(COST) {
            Some(cost) => Response::Cost { cost },
            None => Response::UnsupportedRequest,
        },
        Request::GetAvailability => Response::Availability { availability: availability(shared).await },
        Request::GetOrdered => Response::Ordered,
        Request::WhereIs { key } => match whereis(&key, shared).await {
            Some(text) => Response::WhereIsSuccess { text },
            None => Response::WhereIsFailure,
        },
        Request::GetInfo => info(host, shared).await?,
        Request::ClaimUrl { .. } => Response::ClaimUrlFailure,
        Request::CheckUrl { .. } => Response::CheckUrlFailure { message: message("not a URL of this remote") },
        Request::ExportSupported => Response::ExportSupportedFailure,
        Request::ImportSupported => Response::ImportSupportedFailure,
        unknown if unknown.is_answered() => Response::UnsupportedRequest,
        _ => return Ok(None),
    }))
}

fn message(text: &str) -> Text {
    Text::of_message(text)
}

async fn list_configs(host: &Host) -> Result<Response, Ended> {
    for (name, description) in settings::DESCRIPTIONS {
        if let Some(name) = Word::new(name) {
            host.respond(Response::Config { name, description: message(description) }).await?;
        }
    }
    Ok(Response::ConfigEnd)
}

/// Makes the store, or takes one that is there, and lets git-annex remember where it is.
///
/// Runs at initremote and at every enableremote, in every clone.
async fn init(host: &mut Host, shared: &Shared) -> Result<Result<(), String>, Ended> {
    let mut settings = match words(host).await?.complete() {
        Ok(settings) => settings,
        Err(error) => return Ok(Err(error.to_string())),
    };
    let store = match shared::open(&settings, Create::IfMissing).await {
        Ok(store) => store,
        Err(error) => return Ok(Err(error.to_string())),
    };
    if settings.store.components().any(|component| component == Component::ParentDir) {
        // `..` across a symbolic link means what the system says it means.
        settings.store = settings.store.canonicalize().unwrap_or(settings.store);
    }
    let (Some(name), Some(value)) = (Word::new(settings::STORE), Text::new(settings.store.as_os_str().as_bytes()))
    else {
        return Ok(Err("store= holds a line feed".into()));
    };
    host.tell(RemoteRequest::SetConfig { name, value }).await?;
    let in_use = shared.has(Extension::Info) && matches!(store.entries(None).next().await, Some(Ok(_)));
    if in_use {
        let text =
            format!("{} is a Keep store that is in use already; equal blocks are shared", settings.store.display());
        host.tell(RemoteRequest::Info { text: message(&text) }).await?;
    }
    Ok(Ok(()))
}

async fn prepare(host: &mut Host, shared: &Shared) -> Result<Result<(), String>, Ended> {
    match words(host).await?.settings() {
        Ok(settings) => {
            let uuid = host.value(RemoteRequest::GetUuid).await?;
            shared.prepare(Prepared { settings, uuid });
            Ok(Ok(()))
        }
        Err(error) => Ok(Err(error.to_string())),
    }
}

async fn words(host: &mut Host) -> Result<Words, Ended> {
    Ok(Words {
        store: host.setting(settings::STORE).await?,
        block_size: host.setting(settings::BLOCK_SIZE).await?,
        trash_lifetime: host.setting(settings::TRASH_LIFETIME).await?,
    })
}

async fn transfer(
    direction: Direction,
    key: &WireKey,
    file: &Text,
    host: &Host,
    shared: &Shared,
) -> Result<(), Trouble> {
    let key = key.key()?;
    let place = shared.place().await?;
    let file = Path::new(OsStr::from_bytes(file.as_bytes()));
    match direction {
        Direction::Store => content::store(&place, &key, file, host).await,
        Direction::Retrieve => content::retrieve(&place, &key, file, host).await,
    }
}

async fn present(key: &WireKey, shared: &Shared) -> Result<bool, Failed> {
    let name = content::name(&key.key()?);
    let Place { store, owner, .. } = shared.place().await?;
    Ok(store.present(owner, &name).await?)
}

async fn remove(key: &WireKey, shared: &Shared) -> Result<(), Failed> {
    let name = content::name(&key.key()?);
    let Place { store, owner, .. } = shared.place().await?;
    // The index stays open when the store's disk goes away; what it says then is not to be relied on, nor to be changed.
    store.present(owner, &name).await?;
    // Whether it was there makes no difference.
    store.remove(owner, &name).await?;
    Ok(())
}

/// Tells where the content is on this machine, and in which manifest; offline, and quick.
async fn whereis(key: &WireKey, shared: &Shared) -> Option<Text> {
    let name = content::name(&key.key().ok()?);
    let Place { store, owner, settings } = shared.place().await.ok()?;
    let entry = store.entry(owner, &name).await.ok()??;
    Some(message(&format!("{} (manifest {})", settings.store.display(), entry.manifest)))
}

/// What `git annex info` shows: also when the store is away.
async fn info(host: &Host, shared: &Shared) -> Result<Response, Ended> {
    let fields = match describe(shared).await {
        Ok(fields) => fields,
        Err(Failed(text)) => vec![("error", text)],
    };
    for (name, value) in fields {
        host.respond(Response::InfoField { name: message(name) }).await?;
        host.respond(Response::InfoValue { value: message(&value) }).await?;
    }
    Ok(Response::InfoEnd)
}

async fn describe(shared: &Shared) -> Result<Vec<(&'static str, String)>, Failed> {
    let Place { store, settings, .. } = shared.place().await?;
    let status = store.status().await?;
    Ok(vec![
        ("store", settings.store.display().to_string()),
        ("block size", store.block_size().to_string()),
        ("keys of all remotes in the store", status.entries.to_string()),
        ("blocks", status.blocks.to_string()),
        ("bytes in blocks", status.used.to_string()),
        ("bytes in the trash", status.trash_bytes.to_string()),
        ("damaged blocks", status.damaged.to_string()),
        ("free space", status.free.to_string()),
    ])
}

async fn availability(shared: &Shared) -> Availability {
    match shared.place().await {
        Err(_) if shared.has(Extension::UnavailableResponse) => Availability::Unavailable,
        _ => Availability::Local,
    }
}

impl<E: std::error::Error> From<E> for Failed {
    fn from(error: E) -> Self {
        Self(error.to_string())
    }
}
