//! The path of the URL under which clients reach the door, when a reverse proxy leaves it in front.

use axum::Router;
use axum::extract::{Request, State};
use axum::http::uri::{PathAndQuery, Uri};
use axum::response::Response;
use tower::ServiceExt;

use crate::host::hub::Hub;

/// Serves requests with the path of `http.url` in front as those without.
pub(super) fn taken_off(hub: Hub, routes: Router) -> Router {
    // A router's own layers run after the route was chosen, so this one stands before it.
    let inner = |State((hub, routes)): State<(Hub, Router)>, request: Request| answer(hub, routes, request);
    Router::new().fallback(inner).with_state((hub, routes))
}

async fn answer(hub: Hub, routes: Router, mut request: Request) -> Response {
    let url = hub.site().config().http.url.as_ref().and_then(|url| url.parse::<Uri>().ok());
    let prefix = url.as_ref().map(|url| url.path().trim_end_matches('/')).filter(|prefix| !prefix.is_empty());
    if let Some(uri) = prefix.and_then(|prefix| without(request.uri(), prefix)) {
        *request.uri_mut() = uri;
    }
    match routes.oneshot(request).await {
        Ok(response) => response,
        Err(never) => match never {},
    }
}

fn without(uri: &Uri, prefix: &str) -> Option<Uri> {
    let rest = uri.path_and_query()?.as_str().strip_prefix(prefix)?;
    let path = if rest.is_empty() { "/" } else { rest };
    if !path.starts_with('/') && !path.starts_with('?') {
        return None;
    }
    let mut parts = uri.clone().into_parts();
    let path = if path.starts_with('?') { format!("/{path}") } else { path.to_owned() };
    parts.path_and_query = Some(PathAndQuery::try_from(path).ok()?);
    Uri::from_parts(parts).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_whole_prefix_is_taken_off() {
        let off = |uri: &'static str| without(&Uri::from_static(uri), "/pre").map(|uri| uri.to_string());
        assert_eq!(off("/pre/data/config?a=b").as_deref(), Some("/data/config?a=b"));
        assert_eq!(off("/pre").as_deref(), Some("/"));
        assert_eq!(off("/pre?x").as_deref(), Some("/?x"));
        assert_eq!(off("http://h:1/pre/x").as_deref(), Some("http://h:1/x"));
        assert_eq!(off("/prefix/x"), None);
        assert_eq!(off("/data"), None);
    }
}
