//! The answer to each request.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Component, Path};

use annex_protocol::external::{
    Availability, Cost, Direction, Extension, RemoteRequest, Request, Response, Text, WireKey, Word,
};
use futures_util::StreamExt as _;
use keep_store::store::dir::Create;
use keep_store::store::servers::Token;

use super::content;
use super::host::{Ended, Host};
use super::import;
use super::settings::{self, Settings, Words};
use super::shared::{self, Place, Prepared, Record, Shared};
use super::subject::{self, Subject};
use super::trouble::Trouble;
use super::url;

/// Why a request failed, in words for the user.
struct Failed(String);

/// A directory on this machine is cheap.
const COST: f64 = 100.0;
/// Servers may be far away.
const COST_OF_SERVERS: f64 = 200.0;

/// Under which name git-annex keeps the token.
const TOKEN: &str = "token";
/// Where Arvados's clients look for one.
const TOKEN_VARIABLE: &str = "ARVADOS_API_TOKEN";

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
        Request::Transfer { direction, key, file } => {
            transferred(transfer(direction, &key, None, &file, host, shared).await, direction, key)?
        }
        Request::TransferExport { direction, key, file } => {
            let path = named(host);
            transferred(transfer(direction, &key, path, &file, host, shared).await, direction, key)?
        }
        Request::CheckPresent { key } => looked(present(&key, None, host, shared).await, key)?,
        Request::CheckPresentExport { key } => {
            let path = named(host);
            looked(present(&key, path, host, shared).await, key)?
        }
        Request::Remove { key } => removed(remove(&key, None, host, shared).await, key)?,
        Request::RemoveExport { key } => {
            let path = named(host);
            removed(remove(&key, path, host, shared).await, key)?
        }
        Request::RenameExport { key, new_name } => match rename(&key, &new_name, host, shared).await {
            Ok(true) => Response::RenameExportSuccess { key },
            Ok(false) => Response::RenameExportFailure { key },
            Err(trouble) => {
                // The protocol has no place for the reason; git-annex removes and stores again.
                tracing::warn!("rename: {}", trouble.text()?);
                Response::RenameExportFailure { key }
            }
        },
        Request::Export { name } | Request::Import { name } => {
            host.name(name);
            return Ok(None);
        }
        // A tree has files, and no directories of its own.
        Request::RemoveExportDirectory { .. } => Response::RemoveExportDirectorySuccess,
        Request::GetCost => match Cost::new(cost(shared).await) {
            Some(cost) => Response::Cost { cost },
            None => Response::UnsupportedRequest,
        },
        Request::GetAvailability => Response::Availability { availability: availability(shared).await },
        Request::GetOrdered => Response::Ordered,
        Request::WhereIs { key } => match whereis(&key, host, shared).await? {
            Some(text) => Response::WhereIsSuccess { text },
            None => Response::WhereIsFailure,
        },
        Request::GetInfo => info(host, shared).await?,
        Request::ClaimUrl { url } => url::claim(&url, shared).await,
        Request::CheckUrl { url } => match url::check(&url, shared).await {
            Ok(response) => response,
            Err(trouble) => Response::CheckUrlFailure { message: message(&trouble.text()?) },
        },
        Request::ListImportableContents => import::list(host, shared).await?,
        Request::RetrieveImport { file } => {
            match import::retrieve(Path::new(OsStr::from_bytes(file.as_bytes())), host, shared).await {
                Ok(()) => Response::RetrieveImportSuccess,
                Err(trouble) => Response::RetrieveImportFailure { message: message(&trouble.text()?) },
            }
        }
        Request::CheckPresentImport { key } => looked(import::present(&key, host, shared).await, key)?,
        Request::ExportSupported => Response::ExportSupportedSuccess,
        Request::ImportSupported => Response::ImportSupportedSuccess,
        unknown if unknown.is_answered() => Response::UnsupportedRequest,
        _ => return Ok(None),
    }))
}

async fn cost(shared: &Shared) -> f64 {
    match shared.place().await {
        Ok(Place { record: Record::State | Record::Collections(_), .. }) => COST_OF_SERVERS,
        _ => COST,
    }
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
    let settings = match words(host).await?.complete() {
        Ok(settings) => settings,
        Err(error) => return Ok(Err(error.to_string())),
    };
    let token = match new_token(&settings, host).await? {
        Ok(token) => token,
        Err(text) => return Ok(Err(text)),
    };
    let prepared = prepared(settings, token, host).await?;
    let importing = host.setting("importtree").await? == b"yes";
    if importing && !matches!(prepared.settings.place, settings::Place::Cluster { import: Some(_), .. }) {
        return Ok(Err("importtree=yes needs api= and collection=".into()));
    }
    let store = match shared::open(&prepared, Create::IfMissing).await {
        Ok(opened) => opened.store,
        Err(error) => return Ok(Err(error.to_string())),
    };
    let mut settings = prepared.settings;
    let set = |name, value: &Path| {
        let value = Text::new(value.as_os_str().as_bytes()).filter(|_| !value.as_os_str().is_empty());
        Word::new(name).zip(value).ok_or_else(|| format!("{name}= holds a line feed"))
    };
    let mut paths = Vec::new();
    if let settings::Place::Directory(path) = &mut settings.place {
        if path.components().any(|component| component == Component::ParentDir) {
            // `..` across a symbolic link means what the system says it means.
            *path = path.canonicalize().unwrap_or_else(|_| path.clone());
        }
        paths.push(set(settings::STORE, path));
    }
    paths.extend(settings.ca_file.as_deref().map(|path| set(settings::CA_FILE, path)));
    for path in paths {
        match path {
            Ok((name, value)) => host.tell(RemoteRequest::SetConfig { name, value }).await?,
            Err(text) => return Ok(Err(text)),
        }
    }
    let in_use = shared.has(Extension::Info) && matches!(store.entries(None).next().await, Some(Ok(_)));
    if in_use {
        let text = format!("{} is a Keep store that is in use already; equal blocks are shared", settings.place);
        host.tell(RemoteRequest::Info { text: message(&text) }).await?;
    }
    Ok(Ok(()))
}

/// Returns the token in the environment, and lets git-annex keep it; otherwise the one that it keeps.
async fn new_token(settings: &Settings, host: &mut Host) -> Result<Result<Token, String>, Ended> {
    if matches!(settings.place, settings::Place::Directory(_)) {
        return Ok(Ok(Token::None));
    }
    let Some(given) = std::env::var_os(TOKEN_VARIABLE).filter(|token| !token.is_empty()) else {
        return Ok(Ok(kept_token(host).await?));
    };
    let (Some(name), Some(user)) = (Word::new(TOKEN), Word::new("arvados")) else {
        return Ok(Ok(Token::None));
    };
    let Some(token) = given.to_str().map(str::trim) else {
        return Ok(Err(format!("{TOKEN_VARIABLE} is no text")));
    };
    host.tell(RemoteRequest::SetCreds { name, user, password: message(token) }).await?;
    Ok(Ok(Token::Given(token.to_owned())))
}

/// Returns the token in the environment, or else the one that git-annex keeps.
async fn kept_token(host: &mut Host) -> Result<Token, Ended> {
    let kept = match std::env::var(TOKEN_VARIABLE) {
        Ok(token) if !token.is_empty() => token.trim().as_bytes().to_vec(),
        _ => host.password(TOKEN).await?,
    };
    Ok(match String::from_utf8(kept) {
        Ok(token) if !token.is_empty() => Token::Given(token),
        _ => Token::None,
    })
}

async fn prepare(host: &mut Host, shared: &Shared) -> Result<Result<(), String>, Ended> {
    match words(host).await?.settings() {
        Ok(settings) => {
            let token = match settings.place {
                settings::Place::Directory(_) => Token::None,
                settings::Place::Servers(_) | settings::Place::Cluster { .. } => kept_token(host).await?,
            };
            shared.prepare(prepared(settings, token, host).await?);
            Ok(Ok(()))
        }
        Err(error) => Ok(Err(error.to_string())),
    }
}

async fn prepared(settings: Settings, token: Token, host: &mut Host) -> Result<Prepared, Ended> {
    let uuid = host.value(RemoteRequest::GetUuid).await?;
    let name = String::from_utf8_lossy(&host.setting("name").await?).into_owned();
    let tree = host.setting("exporttree").await? == b"yes";
    Ok(Prepared { settings, uuid, token, name, tree })
}

async fn words(host: &mut Host) -> Result<Words, Ended> {
    Ok(Words {
        store: host.setting(settings::STORE).await?,
        keep: host.setting(settings::KEEP).await?,
        api: host.setting(settings::API).await?,
        project: host.setting(settings::PROJECT).await?,
        collections: host.setting(settings::COLLECTIONS).await?,
        collection: host.setting(settings::COLLECTION).await?,
        replicas: host.setting(settings::REPLICAS).await?,
        storage_classes: host.setting(settings::STORAGE_CLASSES).await?,
        ca_file: host.setting(settings::CA_FILE).await?,
        block_size: host.setting(settings::BLOCK_SIZE).await?,
        trash_lifetime: host.setting(settings::TRASH_LIFETIME).await?,
    })
}

async fn transfer(
    direction: Direction,
    key: &WireKey,
    path: Option<Text>,
    file: &Text,
    host: &mut Host,
    shared: &Shared,
) -> Result<(), Trouble> {
    let subject = Subject::new(key, path)?;
    let place = shared.place().await?;
    let file = Path::new(OsStr::from_bytes(file.as_bytes()));
    match direction {
        Direction::Store => content::store(&place, &subject, file, host).await,
        Direction::Retrieve => content::retrieve(&place, &subject, file, host).await,
    }
}

async fn present(key: &WireKey, path: Option<Text>, host: &mut Host, shared: &Shared) -> Result<bool, Trouble> {
    let subject = Subject::new(key, path)?;
    shared.place().await?.present(&subject, host).await
}

async fn remove(key: &WireKey, path: Option<Text>, host: &mut Host, shared: &Shared) -> Result<(), Trouble> {
    let subject = Subject::new(key, path)?;
    shared.place().await?.remove(&subject, host).await
}

async fn rename(key: &WireKey, to: &Text, host: &mut Host, shared: &Shared) -> Result<bool, Trouble> {
    let subject = Subject::new(key, named(host))?;
    shared.place().await?.rename(&subject, to, host).await
}

/// Returns the name that EXPORT gave; a request without one means no file.
fn named(host: &mut Host) -> Option<Text> {
    Some(host.named().unwrap_or_default())
}

fn transferred(done: Result<(), Trouble>, direction: Direction, key: WireKey) -> Result<Response, Ended> {
    Ok(match done {
        Ok(()) => Response::TransferSuccess { direction, key },
        Err(trouble) => Response::TransferFailure { direction, key, message: message(&trouble.text()?) },
    })
}

fn looked(present: Result<bool, Trouble>, key: WireKey) -> Result<Response, Ended> {
    Ok(match present {
        Ok(true) => Response::CheckPresentSuccess { key },
        Ok(false) => Response::CheckPresentFailure { key },
        Err(trouble) => Response::CheckPresentUnknown { key, message: message(&trouble.text()?) },
    })
}

fn removed(done: Result<(), Trouble>, key: WireKey) -> Result<Response, Ended> {
    Ok(match done {
        Ok(()) => Response::RemoveSuccess { key },
        Err(trouble) => Response::RemoveFailure { key, message: message(&trouble.text()?) },
    })
}

/// Tells where the content is on this machine, and in which manifest; offline, and quick.
async fn whereis(key: &WireKey, host: &mut Host, shared: &Shared) -> Result<Option<Text>, Ended> {
    let (Ok(subject), Ok(place)) = (Subject::new(key, None), shared.place().await) else { return Ok(None) };
    let manifest = match &place.record {
        Record::Collections(collections) => {
            let holders = collections.holders(&subject.key.file_name()).await;
            let text = format!("{} (file {} of collection {})", place.settings.place, subject.key, holders.join(", "));
            return Ok((!holders.is_empty()).then(|| message(&text)));
        }
        Record::Index => {
            let (owner, name) = place.entry_name(&subject);
            let entry = place.store.entry(&owner, &name).await.ok().flatten();
            entry.map(|entry| entry.manifest.to_string())
        }
        Record::State => match subject::state(&subject, host).await {
            Ok(state) => state.map(|state| state.manifest.stripped().to_string()),
            Err(Trouble::Ended(ended)) => return Err(ended),
            Err(Trouble::Failed(_)) => None,
        },
    };
    Ok(manifest.map(|manifest| message(&format!("{} (manifest {manifest})", place.settings.place))))
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
    if !matches!(settings.place, settings::Place::Directory(_)) {
        let mut fields = match &settings.place {
            settings::Place::Cluster { api, project, .. } => vec![
                ("api server", api.clone()),
                ("project", project.clone().unwrap_or_else(|| "the user's own".to_owned())),
            ],
            place => vec![("keep servers", place.to_string())],
        };
        fields.push(("block size", store.block_size().to_string()));
        fields.extend(settings.replicas.map(|replicas| ("replicas", replicas.to_string())));
        fields.extend((!settings.classes.is_empty()).then(|| ("storage classes", settings.classes.join(" "))));
        return Ok(fields);
    }
    let status = store.status().await?;
    Ok(vec![
        ("store", settings.place.to_string()),
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
        Ok(Place { record: Record::State | Record::Collections(_), .. }) => Availability::Global,
        _ => Availability::Local,
    }
}

impl<E: std::error::Error> From<E> for Failed {
    fn from(error: E) -> Self {
        Self(error.to_string())
    }
}
