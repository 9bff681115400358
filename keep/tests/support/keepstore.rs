//! A small keepstore on loopback, of blocks in memory. It signs locators, and gives a block to those alone who show one.

use annex_protocol::keep::{BlockHash, Locator};
use axum::Router;
use axum::body::to_bytes;
use axum::extract::{Request, State};
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::TryStreamExt;
use keep_store::base::clock::SystemClock;
use keep_store::base::stream::MAX_BLOCK;
use keep_store::store::memory::MemoryStore;
use keep_store::store::{Block, Blocks, Inventory};

/// Starts a server without blocks; returns its address.
pub(crate) async fn serve() -> String {
    let blocks = MemoryStore::new("keepstore", 1 << 30, SystemClock::shared());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let router = Router::new().fallback(answer).with_state(blocks);
    tokio::spawn(async move { axum::serve(listener, router).await });
    address
}

async fn answer(State(blocks): State<MemoryStore>, request: Request) -> Response {
    let (method, path) = (request.method().clone(), request.uri().path()[1..].to_owned());
    let hash = BlockHash::parse(&path.as_bytes()[..32]).unwrap();
    if method == Method::PUT {
        let bytes = to_bytes(request.into_body(), MAX_BLOCK as usize).await.unwrap();
        return put(&blocks, hash, bytes).await;
    }
    let Some(found) = blocks.stat(hash).await.unwrap() else { return StatusCode::NOT_FOUND.into_response() };
    if !Locator::parse(path.as_bytes()).unwrap().is_signed() {
        return StatusCode::FORBIDDEN.into_response();
    }
    let block = Block { hash, size: u32::try_from(found.size).unwrap() };
    let stream = blocks.read(block, 0, 0).await.unwrap().unwrap();
    // What answers to HEAD is cut off the body, but for its length.
    stream.try_collect::<Vec<Bytes>>().await.unwrap().concat().into_response()
}

async fn put(blocks: &MemoryStore, hash: BlockHash, bytes: Bytes) -> Response {
    if BlockHash::of(&bytes) != hash {
        return (StatusCode::UNPROCESSABLE_ENTITY, "Bad hash").into_response();
    }
    let block = Block { hash, size: u32::try_from(bytes.len()).unwrap() };
    let mut writer = blocks.writer().await.unwrap();
    writer.write(bytes).await.unwrap();
    match writer.finish(block, None).await {
        Ok(_) => {
            let signed = block.locator().with_hint(&format!("A{}@7fffffff", "0".repeat(40))).unwrap();
            ([("X-Keep-Replicas-Stored", "1")], format!("{signed}\n")).into_response()
        }
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}
