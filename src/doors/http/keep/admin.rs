//! What a cluster's root asks of a keepstore. Root is every admin of the site.

use std::io;

use annex_gateway::gateway::ErrorKind;
use annex_gateway::site::user::Role;
use annex_protocol::keep::{BlockHash, KeepCall};
use axum::body::Body;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use keep_store::service::{BadList, KeepService, PullItem, TrashItem, Trashed};
use serde_json::json;

use super::{KeepRequest, block, failed, refused};
use crate::doors::http::reply::{self, Refused};
use crate::doors::http::{admin, body};

/// A list that is longer is no list.
const LARGEST_LIST: usize = 256 << 20;

/// Answers all requests that are not about the content of a block.
pub(super) async fn answer(asked: &KeepRequest<'_>, call: KeepCall<'_>, body: Body) -> Result<Response, Refused> {
    let service = asked.keep.service();
    let needed = if matches!(call, KeepCall::Ping | KeepCall::Metrics) { Role::None } else { Role::Admin };
    let holder = asked.holder(needed).await?;
    match (call, asked.parts.method.as_str()) {
        (KeepCall::Ping, "GET" | "HEAD") => Ok(reply::json(&json!({ "health": "OK" }))),
        (KeepCall::Metrics, "GET" | "HEAD") => admin::metrics(asked.hub).await,
        (KeepCall::Block(text), "TOUCH") => done(service.touch(block(text)?.hash).await.map_err(|e| failed(&e))?),
        (KeepCall::Untrash(text), "PUT") => done(service.untrash(block(text)?.hash).await.map_err(|e| failed(&e))?),
        (KeepCall::Block(text), "DELETE") => trash(service, block(text)?.hash).await,
        (KeepCall::Index(prefix), "GET" | "HEAD") => index(asked, service, prefix),
        (KeepCall::Mounts, "GET" | "HEAD") => Ok(reply::json(&mounts(service))),
        (KeepCall::MountBlocks { uuid, prefix }, "GET" | "HEAD") => {
            let mount = std::str::from_utf8(uuid).ok().and_then(|uuid| service.only(uuid));
            index(asked, &mount.ok_or_else(|| Refused::not_found("there is no such mount"))?, prefix)
        }
        (KeepCall::Status, "GET" | "HEAD") => Ok(reply::json(&status(service))),
        (KeepCall::Trash, "PUT") => {
            let list = list(asked, body, TrashItem::list).await?;
            if service.set_trash(list) {
                let service = service.clone();
                asked.hub.in_background(async move { service.work_off_trash().await });
            }
            done(true)
        }
        (KeepCall::Pull, "PUT") => {
            let list = list(asked, body, PullItem::list).await?;
            if service.set_pulls(list) {
                let (service, token) = (service.clone(), String::from_utf8_lossy(&holder.token).into_owned());
                asked.hub.in_background(async move { service.work_off_pulls(&token).await });
            }
            done(true)
        }
        _ => Err(Refused::bad_request("Bad Request")),
    }
}

fn done(found: bool) -> Result<Response, Refused> {
    if found { Ok(StatusCode::OK.into_response()) } else { Err(Refused::not_found("not found")) }
}

/// A block that is too young stays, and that is no error: as a keepstore has it.
async fn trash(service: &KeepService, hash: BlockHash) -> Result<Response, Refused> {
    match service.trash(hash, None).await.map_err(|error| failed(&error))? {
        Trashed::Done | Trashed::Young => done(true),
        Trashed::Absent => done(false),
        Trashed::Referenced => Err(Refused::of_kind(ErrorKind::Conflict, "a key or a collection refers to the block")),
    }
}

/// The empty line at the end tells that the list is whole.
fn index(asked: &KeepRequest<'_>, service: &KeepService, prefix: &[u8]) -> Result<Response, Refused> {
    let from_query = asked.parts.uri.query().unwrap_or_default().split('&').find_map(|p| p.strip_prefix("prefix="));
    let prefix =
        std::str::from_utf8(prefix).ok().filter(|prefix| !prefix.is_empty()).or(from_query).unwrap_or_default();
    let text = format!("/index/{prefix}");
    if !matches!(KeepCall::parse(text.as_bytes()), Some(KeepCall::Index(_))) {
        return Err(Refused::bad_request(format!("{prefix:?} is no beginning of a block's name")));
    }
    let end = stream::once(std::future::ready(Ok("\n".to_owned())));
    // After an error comes nothing more, the empty line least of all.
    let lines = service.index(prefix).chain(end).map(|line| line.map(Bytes::from).map_err(io::Error::other));
    let lines = lines.ready_chunks(256).map(|lines| lines.into_iter().collect::<Result<Vec<_>, _>>());
    let body = Body::from_stream(lines.map(|lines| lines.map(|lines| Bytes::from(lines.concat()))));
    Ok(([(header::CONTENT_TYPE, "text/plain; charset=utf-8")], body).into_response())
}

fn mounts(service: &KeepService) -> serde_json::Value {
    let mount = |mount: &keep_store::service::Mount| {
        let classes: serde_json::Map<_, _> = mount.classes.iter().map(|class| (class.clone(), true.into())).collect();
        json!({
            "uuid": mount.uuid, "device_id": mount.device, "allow_write": !mount.read_only,
            "allow_trash": !mount.read_only, "replication": mount.replication, "storage_classes": classes,
        })
    };
    service.mounts().iter().map(mount).collect()
}

fn status(service: &KeepService) -> serde_json::Value {
    let (trash, pull) = service.waiting();
    json!({
        "cluster": service.cluster().to_string(), "version": env!("CARGO_PKG_VERSION"),
        "mounts": mounts(service), "trash_queue": trash, "pull_queue": pull,
    })
}

async fn list<T>(
    asked: &KeepRequest<'_>,
    mut body: Body,
    read: impl FnOnce(&[u8]) -> Result<Vec<T>, BadList>,
) -> Result<Vec<T>, Refused> {
    let mut json = Vec::new();
    let stalled = asked.hub.traffic().stalled();
    while let Some(bytes) = body::next(&mut body, stalled).await.map_err(|e| Refused::bad_request(e.to_string()))? {
        json.extend_from_slice(&bytes);
        if json.len() > LARGEST_LIST {
            return Err(refused(StatusCode::PAYLOAD_TOO_LARGE, "the list is too long"));
        }
    }
    read(&json).map_err(|error| Refused::bad_request(error.to_string()))
}
