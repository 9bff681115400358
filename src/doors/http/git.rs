//! git over HTTP: fetch, clone and push with git's own programs, and the configuration that git-annex looks for.
//!
//! `git upload-pack` and `git receive-pack` are run themselves, with `--stateless-rpc`, and not through `git
//! http-backend`: what it does besides (CGI, access, dumb HTTP) is done here anyway; it keeps whole requests in memory, ends
//! in silence when its program fails, and is not part of git's package everywhere.
//! Source: git's documentation `gitprotocol-http` and `gitprotocol-v2`.

use std::sync::Arc;

use annex_gateway::site::RepoName;
use annex_gateway::site::user::Role;
use annex_protocol::shell::GitService;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, Method, header};
use axum::response::{IntoResponse, Response};
use keep_store::base::task::blocking;

use super::reply::Refused;
use super::{auth, config};
use crate::doors::shell::{Refusal, for_git, open};
use crate::host::caller::Who;
use crate::host::git_service;
use crate::host::hub::{Hosted, Hub};
use crate::host::repo::RepoError;

mod input;
mod program;

use program::GitRun;

/// What an address below a repository's name asks for.
#[derive(Debug, PartialEq, Eq)]
enum GitAddress {
    /// The references, for what is done next.
    References(GitService),
    /// One exchange of a fetch or a push.
    Exchange(GitService),
    /// The git configuration.
    Config,
}

/// git's version of its protocol is a short text.
const MAX_PROTOCOL: usize = 200;

/// Answers at all addresses that nothing else answers at.
pub(super) async fn answer(State(hub): State<Hub>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    match answer_or_refuse(&hub, &parts, body).await {
        Ok(response) => response,
        Err(refused) => refused.into_response(),
    }
}

async fn answer_or_refuse(hub: &Hub, parts: &Parts, body: Body) -> Result<Response, Refused> {
    let nothing = || Refused::not_found("nothing is at this address");
    let (name, asked) =
        find(&parts.method, parts.uri.path(), parts.uri.query().unwrap_or_default())?.ok_or_else(nothing)?;
    let name = RepoName::from_client(name.as_bytes(), &hub.site().root().join("repos")).map_err(|_| nothing())?;
    let who = auth::who(hub, &parts.headers).await?;
    // A link on a web page must not make a repository. Browsers say that they are browsers.
    let create = who != Who::Anonymous && !parts.headers.contains_key("sec-fetch-mode");
    let service = match asked {
        GitAddress::References(service) | GitAddress::Exchange(service) => service,
        GitAddress::Config => {
            let opened =
                opened(hub, &who, &name, move |hub, who, name| open(hub, who, name, (Role::Read, "read"), create));
            let (hosted, _) = opened.await?;
            return Ok(fresh(config::TYPE, config::text(hub, &hosted, parts)).into_response());
        }
    };
    let (hosted, role) =
        opened(hub, &who, &name, move |hub, who, name| for_git(hub, who, service, name, create)).await?;
    git_service::before(service, &hosted).await.map_err(Refused::of)?;
    let protocol = protocol(&parts.headers);
    let mut command = git_service::command(role, protocol);
    command.args([plain(service), "--stateless-rpc"]);
    let advertise = matches!(asked, GitAddress::References(_));
    let (head, input, kind) = if advertise {
        command.arg("--advertise-refs");
        (announcement(service, protocol), None, "advertisement")
    } else {
        (String::new(), Some(input::open(service, &parts.headers, body)?), "result")
    };
    command.arg(hosted.repo.git.dir());
    let body = program::run(hub, GitRun { service, who, hosted, command, head: head.into(), input }).await?;
    Ok(fresh(&format!("application/x-{}-{kind}", service.as_str()), body))
}

/// Opens the repository, or says what would help.
///
/// An anonymous caller cannot tell a repository that does not exist from one that may not be read.
async fn opened<T: Send + 'static>(
    hub: &Hub,
    who: &Who,
    name: &RepoName,
    open: impl FnOnce(&Hub, &Who, &RepoName) -> Result<(Arc<Hosted>, T), Refusal> + Send + 'static,
) -> Result<(Arc<Hosted>, T), Refused> {
    let (asked_hub, asking, asked) = (hub.clone(), who.clone(), name.clone());
    blocking(move || open(&asked_hub, &asking, &asked)).await.map_err(|refusal| match refusal {
        Refusal::Role { .. } | Refusal::Repo(RepoError::Missing(_)) if *who == Who::Anonymous => {
            Refused::unauthorized(format!("a name and a password are needed for {name}"))
        }
        refusal => Refused::of(refusal),
    })
}

/// Splits a path into a repository's name and what is asked of it; `None` for other addresses.
fn find<'a>(method: &Method, path: &'a str, query: &str) -> Result<Option<(&'a str, GitAddress)>, Refused> {
    let read = method == Method::GET || method == Method::HEAD;
    let found = if let Some(name) = path.strip_suffix("/info/refs") {
        let service = query.split('&').find_map(|parameter| parameter.strip_prefix("service="));
        let service = service.and_then(service_named).ok_or_else(|| {
            Refused::forbidden("this server speaks git's smart protocol only: use git 1.6.6 or newer")
        })?;
        (name, GitAddress::References(service), read)
    } else if let Some(name) = path.strip_suffix("/config") {
        (name, GitAddress::Config, read)
    } else {
        let Some((name, service)) = path.rsplit_once('/') else { return Ok(None) };
        let Some(service) = service_named(service) else { return Ok(None) };
        (name, GitAddress::Exchange(service), method == Method::POST)
    };
    match found {
        (name, asked, true) => Ok(Some((name, asked))),
        _ => Err(Refused::bad_request(format!("the method {method} is not supported here"))),
    }
}

fn service_named(name: &str) -> Option<GitService> {
    [GitService::UploadPack, GitService::ReceivePack].into_iter().find(|service| service.as_str() == name)
}

/// The name of a service as an argument of `git`.
fn plain(service: GitService) -> &'static str {
    service.as_str().trim_start_matches("git-")
}

/// Returns the version of git's protocol that the client asks for.
fn protocol(headers: &HeaderMap) -> Option<&str> {
    let legal = |b: u8| b.is_ascii_alphanumeric() || b"=:.-_".contains(&b);
    let value = headers.get("git-protocol")?.to_str().ok()?;
    (value.len() <= MAX_PROTOCOL && value.bytes().all(legal)).then_some(value)
}

/// What stands in front of the references: nothing in version 2, which pushes do not know.
fn announcement(service: GitService, protocol: Option<&str>) -> String {
    let second = protocol.is_some_and(|text| text.split(':').any(|word| word == "version=2"));
    if second && service == GitService::UploadPack {
        return String::new();
    }
    let line = format!("# service={}\n", service.as_str());
    format!("{:04x}{line}0000", line.len() + 4)
}

/// An answer that is good for now only.
fn fresh(kind: &str, body: impl Into<Body>) -> Response {
    let mut response = Response::new(body.into());
    let headers = response.headers_mut();
    if let Ok(kind) = HeaderValue::from_str(kind) {
        headers.insert(header::CONTENT_TYPE, kind);
    }
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache, max-age=0, must-revalidate"));
    headers.insert(header::EXPIRES, HeaderValue::from_static("Fri, 01 Jan 1980 00:00:00 GMT"));
    headers.insert(header::PRAGMA, HeaderValue::from_static("no-cache"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(method: &Method, path: &'static str, query: &str) -> Option<(&'static str, GitAddress)> {
        find(method, path, query).unwrap()
    }

    #[test]
    fn addresses_are_told_apart() {
        let references = GitAddress::References(GitService::UploadPack);
        assert_eq!(
            found(&Method::GET, "/org/data.git/info/refs", "a=b&service=git-upload-pack"),
            Some(("/org/data.git", references))
        );
        let push = GitAddress::Exchange(GitService::ReceivePack);
        assert_eq!(found(&Method::POST, "/data/git-receive-pack", ""), Some(("/data", push)));
        assert_eq!(found(&Method::GET, "/data/config", ""), Some(("/data", GitAddress::Config)));
        for path in ["/", "/data", "/data/HEAD", "/data/objects/info/packs", "/data/git-upload-archive"] {
            assert_eq!(found(&Method::GET, path, ""), None, "{path}");
        }
        for (method, path) in [
            (Method::GET, "/data/git-upload-pack"),
            (Method::POST, "/data/config"),
            (Method::POST, "/data/info/refs"),
            (Method::GET, "/data/info/refs"),
        ] {
            assert!(find(&method, path, "").is_err(), "{method} {path}");
        }
    }

    #[test]
    fn only_fetches_in_version_2_have_no_announcement() {
        assert_eq!(announcement(GitService::UploadPack, Some("version=2")), "");
        assert_eq!(announcement(GitService::UploadPack, None), "001e# service=git-upload-pack\n0000");
        assert_eq!(announcement(GitService::ReceivePack, Some("version=2")), "001f# service=git-receive-pack\n0000");
    }

    #[test]
    fn a_strange_protocol_is_not_passed_on() {
        let of = |value: &'static str| {
            protocol(&HeaderMap::from_iter([(
                header::HeaderName::from_static("git-protocol"),
                HeaderValue::from_static(value),
            )]))
            .map(str::to_owned)
        };
        assert_eq!(of("version=2:x").as_deref(), Some("version=2:x"));
        assert_eq!(of("version=2 $(x)"), None);
    }
}
