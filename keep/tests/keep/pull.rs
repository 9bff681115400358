//! Blocks that a pull list names, fetched from other servers.

use std::net::SocketAddr;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use annex_protocol::keep::{BlockHash, Locator};
use axum::Router;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect};
use keep_store::service::PullItem;
use tokio::net::TcpListener;

use super::service;

const CONTENT: &[u8] = b"content";

/// Set where the test runs once more in a process of its own.
const AGAIN: &str = "KEEP_STORE_TEST_WITH_PROXY";

/// Starts a server that answers every request alike. Returns its address, and how often it was asked.
async fn server<A: IntoResponse + Clone + Send + Sync + 'static>(answer: A) -> (SocketAddr, Arc<AtomicUsize>) {
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    let router = Router::new().fallback(move || {
        count.fetch_add(1, Ordering::Relaxed);
        let answer = answer.clone();
        async move { answer }
    });
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await });
    (address, asked)
}

/// Pulls [`CONTENT`] from a server; tells whether it is there then.
async fn pull(server: SocketAddr) -> bool {
    let (_dir, service) = service::service(Duration::from_secs(3600)).await;
    let item = PullItem { locator: Locator::of(CONTENT), servers: vec![format!("http://{server}/")], mount: None };
    assert!(service.set_pulls(vec![item]));
    service.work_off_pulls("v2/zzzzz-gj3su-000000000000000/secret").await;
    service.stat(BlockHash::of(CONTENT)).await.unwrap().is_some()
}

#[tokio::test]
async fn a_block_comes_from_the_server_that_the_list_names() {
    let (holder, asked) = server(CONTENT).await;
    assert!(pull(holder).await);
    assert_eq!(asked.load(Ordering::Relaxed), 1);
    let (empty, _) = server(StatusCode::NOT_FOUND).await;
    assert!(!pull(empty).await);
    let (liar, _) = server("another content").await;
    assert!(!pull(liar).await);
}

#[tokio::test]
async fn a_server_cannot_send_the_token_elsewhere() {
    let (holder, asked) = server(CONTENT).await;
    let (elsewhere, _) = server(Redirect::temporary(&format!("http://{holder}/"))).await;
    assert!(!pull(elsewhere).await);
    assert_eq!(asked.load(Ordering::Relaxed), 0);
}

/// The environment is set for a process as it starts, so the test runs itself once more.
#[tokio::test]
async fn a_proxy_of_the_environment_is_not_asked() {
    if std::env::var_os(AGAIN).is_some() {
        let (holder, _) = server(CONTENT).await;
        assert!(pull(holder).await);
        return;
    }
    let (proxy, asked) = server(StatusCode::BAD_GATEWAY).await;
    let mut again = Command::new(std::env::current_exe().unwrap());
    again.args(["--exact", "pull::a_proxy_of_the_environment_is_not_asked"]).env(AGAIN, "yes");
    for name in ["http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"] {
        again.env(name, format!("http://{proxy}"));
    }
    again.env_remove("no_proxy").env_remove("NO_PROXY");
    let ended = tokio::task::spawn_blocking(move || again.output()).await.unwrap().unwrap();
    let said = String::from_utf8_lossy(&ended.stdout);
    assert!(ended.status.success() && said.contains("1 passed"), "{said}");
    assert_eq!(asked.load(Ordering::Relaxed), 0);
}
