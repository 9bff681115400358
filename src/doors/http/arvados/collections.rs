//! `/arvados/v1/collections`.

use annex_gateway::site::user::Role;
use axum::http::Method;
use serde_json::Value;

use super::answer::page;
use super::call::Call;
use super::need;
use crate::arvados::catalogue::{Collection, List, Record};
use crate::arvados::{Api, ApiError, Asking};

pub(super) async fn answer(api: &Api, asking: &Asking, call: &Call, rest: &[&str]) -> Result<Value, ApiError> {
    let select = call.select()?;
    let collection = match (&call.method, rest) {
        (&Method::GET, []) => return list(api, asking, call).await,
        (&Method::GET, [id]) => {
            let found = api.collection(asking, id, call.flag("include_trash")).await?;
            if found.base.uuid != *id {
                return Ok(api.content_json(asking, &found, &select).await);
            }
            found
        }
        (&Method::POST, []) => {
            need(asking, Role::Append)?;
            api.create_collection(asking, &call.attributes("collection")?, &call.options()?).await?
        }
        (&Method::PUT | &Method::PATCH, [uuid]) => {
            need(asking, Role::Write)?;
            api.update_collection(asking, uuid, &call.attributes("collection")?, &call.options()?).await?
        }
        (&Method::DELETE, [uuid]) | (&Method::POST, [uuid, "trash"]) => {
            need(asking, Role::Write)?;
            api.trash_collection(asking, uuid, true).await?
        }
        (&Method::POST, [uuid, "untrash"]) => {
            need(asking, Role::Write)?;
            api.trash_collection(asking, uuid, false).await?
        }
        _ => return Err(call.unknown()),
    };
    Ok(api.collection_json(asking, &collection, &select).await)
}

/// Manifests are given out only if they are asked for by name.
async fn list(api: &Api, asking: &Asking, call: &Call) -> Result<Value, ApiError> {
    let mut select = call.select()?;
    let manifests = select.names("manifest_text") || select.names("unsigned_manifest_text");
    if !manifests {
        return super::list::<Collection>(api, asking, call).await;
    }
    let list = List { whole: true, ..call.list()? };
    let found = api.list::<Collection>(asking, &list).await?;
    let mut items = Vec::with_capacity(found.items.len());
    select.0.iter_mut().for_each(|names| names.push("kind".to_owned()));
    for collection in &found.items {
        items.push(api.collection_json(asking, collection, &select).await);
    }
    Ok(page(Collection::TABLE.kind, &items, &list, found.available))
}
