//! `/arvados/v1/groups`: projects.

use annex_gateway::site::user::Role;
use axum::http::Method;
use serde_json::Value;

use super::call::Call;
use super::{list, need};
use crate::arvados::catalogue::{Level, Project};
use crate::arvados::json::ToJson;
use crate::arvados::{Api, ApiError, Asking};

pub(super) async fn answer(api: &Api, asking: &Asking, call: &Call, rest: &[&str]) -> Result<Value, ApiError> {
    let project = match (&call.method, rest) {
        (&Method::GET, []) => return list::<Project>(api, asking, call).await,
        (&Method::GET, [uuid]) => api.find::<Project>(asking, uuid, Level::Read, call.flag("include_trash")).await?,
        (&Method::POST, []) => {
            need(asking, Role::Append)?;
            api.create_project(asking, &call.attributes("group")?, &call.options()?).await?
        }
        (&Method::PUT | &Method::PATCH, [uuid]) => {
            need(asking, Role::Write)?;
            api.update_project(asking, uuid, &call.attributes("group")?).await?
        }
        (&Method::DELETE, [uuid]) | (&Method::POST, [uuid, "trash"]) => {
            need(asking, Role::Write)?;
            api.trash_project(asking, uuid, true).await?
        }
        (&Method::POST, [uuid, "untrash"]) => {
            need(asking, Role::Write)?;
            api.trash_project(asking, uuid, false).await?
        }
        _ => return Err(call.unknown()),
    };
    Ok(call.select()?.apply(project.members(api.now())))
}
