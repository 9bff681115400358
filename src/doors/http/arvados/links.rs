//! `/arvados/v1/links`: permission links.

use annex_gateway::site::user::Role;
use axum::http::Method;
use serde_json::Value;

use super::call::Call;
use super::{list, need};
use crate::arvados::catalogue::Link;
use crate::arvados::json::ToJson;
use crate::arvados::{Api, ApiError, Asking};

pub(super) async fn answer(api: &Api, asking: &Asking, call: &Call, rest: &[&str]) -> Result<Value, ApiError> {
    let link = match (&call.method, rest) {
        (&Method::GET, []) => return list::<Link>(api, asking, call).await,
        (&Method::GET, [uuid]) => api.find_link(asking, uuid).await?,
        (&Method::POST, []) => {
            need(asking, Role::Write)?;
            api.create_link(asking, &call.attributes("link")?).await?
        }
        (&Method::DELETE, [uuid]) => {
            need(asking, Role::Write)?;
            api.delete_link(asking, uuid).await?
        }
        _ => return Err(call.unknown()),
    };
    Ok(call.select()?.apply(link.members(api.now())))
}
