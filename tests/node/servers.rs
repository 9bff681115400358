//! Nodes on servers of Arvados Keep: bare services with an index here, and a whole cluster with collections.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use annex_gateway::node::arvados::ArvadosNode;
use annex_gateway::node::keep::KeepNode;
use annex_gateway::node::{Node, NodeError};
use annex_protocol::uuid::Uuid;
use keep_store::entries::collections::{Collections, CollectionsOptions, Layout};
use keep_store::entries::{KeepStore, Options};
use keep_store::store::dir::Create;
use keep_store::store::servers::{Access, Api, Http, ServerOptions, ServerStore, Services, Token, Waits};
use tempfile::TempDir;

use crate::cluster::cluster;
use crate::contract::{self, bytes, get, key_of, put, send, start};

/// How a node of these tests is reached.
#[derive(Clone)]
struct Place {
    address: String,
    token: String,
    project: Option<String>,
    options: ServerOptions,
}

impl Place {
    fn real() -> Self {
        let (address, token) = (cluster().address.clone(), cluster().token.clone());
        let options = ServerOptions { retries: 0, trusted: Duration::ZERO, cache: 0, ..ServerOptions::default() };
        Self { address, token, project: None, options }
    }

    /// Somewhere else, and waited for no longer than a moment.
    fn at(address: std::net::SocketAddr) -> Self {
        let wait = Duration::from_millis(700);
        let waits = Waits { look: wait, change: wait, block: wait, store: wait };
        let real = Self::real();
        Self { address: format!("http://{address}"), options: ServerOptions { waits, ..real.options.clone() }, ..real }
    }

    async fn http(&self) -> Http {
        Http::new(&Access { token: Token::Given(self.token.clone()), ..Access::default() }).await.unwrap()
    }

    async fn keep(&self, dir: &Path, uuid: &Uuid) -> Arc<dyn Node> {
        let services = Services::given([self.address.as_str()]);
        let blocks = ServerStore::new(self.http().await, services, self.options.clone());
        let store = KeepStore::open_servers(blocks, dir, Create::IfMissing, Options::default()).await.unwrap();
        Arc::new(KeepNode::new(store, uuid.clone()))
    }

    async fn arvados(&self, dir: &Path, uuid: &Uuid, layout: Layout) -> Arc<dyn Node> {
        let api = Arc::new(Api::new(self.http().await, &self.address, &self.options));
        let blocks = ServerStore::new(self.http().await, Services::found(Arc::clone(&api)), self.options.clone());
        let store = KeepStore::open_unindexed(blocks.clone(), dir, Options::default()).await.unwrap();
        let options = CollectionsOptions {
            project: self.project.clone(),
            label: format!("git-annex {uuid}"),
            description: String::new(),
            layout,
        };
        Arc::new(ArvadosNode::new(store, Collections::new(api, blocks, options), uuid.clone()))
    }
}

fn fresh() -> Uuid {
    Uuid::parse(uuid::Uuid::new_v4().to_string().as_bytes()).unwrap()
}

/// Both kinds, each with its directory: opened once more, they know no more than a process that was just started.
async fn both(place: &Place, dirs: &[TempDir; 2], uuid: &Uuid) -> [Arc<dyn Node>; 2] {
    [place.keep(dirs[0].path(), uuid).await, place.arvados(dirs[1].path(), uuid, Layout::Folded).await]
}

fn dirs() -> [TempDir; 2] {
    [TempDir::new().unwrap(), TempDir::new().unwrap()]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn services_with_an_index_keep_the_promises_of_a_node() {
    let dir = TempDir::new().unwrap();
    contract::suite(contract::Allow::default(), async || Place::real().keep(dir.path(), &fresh()).await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_keeps_the_promises_of_a_node() {
    for layout in [Layout::Folded, Layout::Single] {
        let dir = TempDir::new().unwrap();
        let empty = async || Place::real().arvados(dir.path(), &fresh(), layout).await;
        contract::suite(contract::Allow::default(), empty).await;
    }
}

#[tokio::test]
async fn signatures_outlive_the_process_and_so_do_uploads() {
    let (dirs, uuid, place) = (dirs(), fresh(), Place::real());
    let (content, begun) = (bytes(300_000, 1), bytes(200_000, 2));
    for node in both(&place, &dirs, &uuid).await {
        put(&node, &key_of(&content), &content).await.unwrap();
        let mut pieces = start(&node, &key_of(&begun)).await.unwrap();
        send(&mut pieces, &begun, 150_000, 50_000).await.unwrap();
        pieces.upload.suspend().await.unwrap();
    }
    for node in both(&place, &dirs, &uuid).await {
        assert!(node.present(&key_of(&content)).await.unwrap());
        assert!(get(&node, &key_of(&content), 1).await == Some((300_000, content[1..].to_vec())));
        let mut pieces = start(&node, &key_of(&begun)).await.unwrap();
        assert_eq!(pieces.kept, 150_000);
        send(&mut pieces, &begun, begun.len(), 50_000).await.unwrap();
        pieces.upload.commit().await.unwrap();
        assert!(get(&node, &key_of(&begun), 0).await == Some((200_000, begun.clone())));
    }
}

#[tokio::test]
async fn without_its_signature_a_block_is_unknown_and_never_absent() {
    let (dirs, uuid, place) = (dirs(), fresh(), Place::real());
    let content = bytes(1000, 3);
    let key = key_of(&content);
    put(&place.keep(dirs[0].path(), &uuid).await, &key, &content).await.unwrap();
    let index = rusqlite::Connection::open(dirs[0].path().join("index.db")).unwrap();
    assert_eq!(index.execute("DELETE FROM signatures", []).unwrap(), 1);
    let node = place.keep(dirs[0].path(), &uuid).await;
    for error in [node.present(&key).await.map(drop).unwrap_err(), node.get(&key, 0).await.map(drop).unwrap_err()] {
        assert!(matches!(error, NodeError::Failed(_)), "{error}");
        assert!(error.to_string().contains(&place.address), "{error}");
    }
    // Storing it again gets another one.
    put(&node, &key, &content).await.unwrap();
    assert!(node.present(&key).await.unwrap());
}

#[tokio::test]
async fn an_upload_whose_collection_cannot_be_made_is_not_there_and_needs_no_second_transfer() {
    let (dir, uuid, place) = (TempDir::new().unwrap(), fresh(), Place::real());
    let content = bytes(100_000, 4);
    let key = key_of(&content);
    let nowhere = Place { project: Some("zzzzz-j7d0g-000000000000000".into()), ..place.clone() };
    let node = nowhere.arvados(dir.path(), &uuid, Layout::Folded).await;
    let error = put(&node, &key, &content).await.unwrap_err();
    assert!(matches!(error, NodeError::Failed(_)) && error.to_string().contains(&place.address), "{error}");
    let node = place.arvados(dir.path(), &uuid, Layout::Folded).await;
    assert!(!node.present(&key).await.unwrap());
    let pieces = start(&node, &key).await.unwrap();
    assert_eq!(pieces.kept, 100_000);
    pieces.upload.commit().await.unwrap();
    assert!(get(&node, &key, 0).await == Some((100_000, content)));
    // Done with: the next one begins anew.
    assert_eq!(start(&node, &key).await.unwrap().kept, 0);
}

#[tokio::test]
async fn keys_that_come_and_go_at_once_are_there_or_not_each_by_itself() {
    let (dir, uuid, place) = (TempDir::new().unwrap(), fresh(), Place::real());
    let node = place.arvados(dir.path(), &uuid, Layout::Folded).await;
    let contents: Vec<Vec<u8>> = (0..12).map(|seed| bytes(500, seed)).collect();
    futures_util::future::try_join_all(
        contents.iter().map(async |content| put(&node, &key_of(content), content).await),
    )
    .await
    .unwrap();
    let (go, stay) = contents.split_at(8);
    let keys: Vec<_> = go.iter().map(|content| key_of(content)).collect();
    let removals = keys.iter().map(|key| node.remove(key));
    // One who gives up changes nothing for the others.
    let given_up = tokio::time::timeout(Duration::ZERO, node.remove(&keys[0])).await;
    assert!(given_up.is_err());
    futures_util::future::try_join_all(removals).await.unwrap();
    // As another process sees it.
    let node = place.arvados(dir.path(), &uuid, Layout::Folded).await;
    for key in &keys {
        assert!(!node.present(key).await.unwrap());
    }
    for content in stay {
        assert!(get(&node, &key_of(content), 0).await == Some((500, content.clone())));
    }
}

#[tokio::test]
async fn nodes_of_other_repositories_have_nothing_of_it() {
    let (dirs, place) = (dirs(), Place::real());
    let content = bytes(1000, 5);
    let key = key_of(&content);
    let (one, other) = (both(&place, &dirs, &fresh()).await, both(&place, &dirs, &fresh()).await);
    for (one, other) in one.iter().zip(&other) {
        put(one, &key, &content).await.unwrap();
        assert!(!other.present(&key).await.unwrap() && other.get(&key, 0).await.unwrap().is_none());
        other.remove(&key).await.unwrap();
        put(other, &key, &content).await.unwrap();
        other.remove(&key).await.unwrap();
        assert!(one.present(&key).await.unwrap());
    }
}

#[tokio::test]
async fn servers_that_are_dead_or_hang_are_an_error_in_time_that_names_them() {
    let hanging = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let dead = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let content = bytes(1000, 6);
    let key = key_of(&content);
    for address in [hanging.local_addr().unwrap(), dead] {
        let (dirs, uuid) = (dirs(), fresh());
        // So that there is something to ask after.
        put(&Place::real().keep(dirs[0].path(), &uuid).await, &key, &content).await.unwrap();
        for node in both(&Place::at(address), &dirs, &uuid).await {
            let start = Instant::now();
            for error in [
                node.present(&key).await.map(drop).unwrap_err(),
                node.get(&key, 0).await.map(drop).unwrap_err(),
                node.capacity().await.map(drop).unwrap_err(),
            ] {
                assert!(matches!(error, NodeError::Unreachable(_)), "{error}");
                assert!(error.to_string().contains(&address.to_string()), "{error}");
            }
            assert!(start.elapsed() < Duration::from_secs(8), "{:?}", start.elapsed());
        }
        let node = Place::at(address).arvados(dirs[1].path(), &uuid, Layout::Folded).await;
        assert!(matches!(node.remove(&key).await.unwrap_err(), NodeError::Unreachable(_)));
        assert!(matches!(put(&node, &key, &content).await.unwrap_err(), NodeError::Unreachable(_)));
    }
}

#[tokio::test]
async fn a_token_that_is_refused_is_told_of() {
    let (dirs, uuid) = (dirs(), fresh());
    let place = Place { token: "v2/zzzzz-gj3su-000000000000000/wrong".into(), ..Place::real() };
    let content = bytes(1000, 7);
    for node in both(&place, &dirs, &uuid).await {
        for error in
            [node.capacity().await.map(drop).unwrap_err(), put(&node, &key_of(&content), &content).await.unwrap_err()]
        {
            assert!(matches!(error, NodeError::Denied(_) | NodeError::Failed(_)), "{error:?}");
            assert!(error.to_string().contains("401") && error.to_string().contains(&place.address), "{error}");
            assert!(!error.to_string().contains("wrong"), "{error}");
        }
    }
}

#[tokio::test]
async fn an_index_that_was_lost_is_no_empty_store() {
    let (dir, place) = (TempDir::new().unwrap(), Place::real());
    let blocks = ServerStore::new(place.http().await, Services::given([place.address.as_str()]), place.options.clone());
    let gone = dir.path().join("gone");
    let error = KeepStore::open_servers(blocks, &gone, Create::Never, Options::default()).await.unwrap_err();
    assert!(error.to_string().contains("backup") && error.to_string().contains("gone/index.db"), "{error}");
}
