//! Against a real server on loopback whose answers are a script.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use annex_protocol::keep::{BlockHash, Locator};
use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::Response;
use bytes::Bytes;
use futures_util::TryStreamExt;

use super::*;

const CONTENT: &[u8] = b"the content of a block";

/// What a server says next, and what it was asked.
#[derive(Clone, Default)]
struct Script(Arc<Mutex<(VecDeque<Answer>, Vec<String>)>>);

#[derive(Clone)]
struct Answer {
    status: u16,
    headers: Vec<(&'static str, String)>,
    body: Bytes,
}

fn says(status: u16) -> Answer {
    Answer { status, headers: Vec::new(), body: Bytes::new() }
}

fn gives(body: &'static [u8]) -> Answer {
    Answer { body: Bytes::from_static(body), ..says(200) }
}

fn stored(copies: u32) -> Answer {
    let body = format!("{}\n", signed("7fffffff"));
    Answer { headers: vec![("X-Keep-Replicas-Stored", copies.to_string())], body: body.into(), ..says(200) }
}

fn signed(expiry: &str) -> Locator {
    Locator::of(CONTENT).with_hint(&format!("A{}@{expiry}", "0".repeat(40))).unwrap()
}

fn block() -> Block {
    Block { hash: BlockHash::of(CONTENT), size: CONTENT.len() as u32 }
}

impl Script {
    async fn answer(State(script): State<Self>, request: Request) -> Response {
        let asked = format!("{} {}", request.method(), request.uri().path());
        let replicas = request.headers().get("X-Keep-Desired-Replicas").map(|value| value.to_str().unwrap().to_owned());
        let token = request.headers().get("Authorization").map(|value| value.to_str().unwrap().to_owned());
        let asked = [Some(asked), replicas, token].into_iter().flatten().collect::<Vec<_>>().join(" ");
        let _read = axum::body::to_bytes(request.into_body(), usize::MAX).await.unwrap();
        let mut state = script.0.lock().unwrap();
        state.1.push(asked);
        let answer = state.0.pop_front().unwrap_or(says(404));
        let response = Response::builder().status(answer.status);
        let response = answer.headers.iter().fold(response, |response, (name, value)| response.header(*name, value));
        response.body(Body::from(answer.body)).unwrap()
    }

    /// Starts a server that gives these answers, and 404 after them.
    async fn serve(&self, answers: impl IntoIterator<Item = Answer>) -> String {
        self.0.lock().unwrap().0.extend(answers);
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let router = Router::new().fallback(Self::answer).with_state(self.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        address
    }

    fn asked(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap().1)
    }
}

fn options() -> ServerOptions {
    ServerOptions { retries: 2, pause: Duration::from_millis(1), ..ServerOptions::default() }
}

async fn store(services: Services, options: ServerOptions) -> ServerStore {
    let access = Access { token: Token::Given("secret".into()), ..Access::default() };
    ServerStore::new(Http::new(&access).await.unwrap(), services, options)
}

fn disks(addresses: &[String]) -> Services {
    let service = |(index, base): (usize, &String)| Service {
        uuid: format!("zzzzz-bi6l4-{index:015}"),
        base: base.clone(),
        kind: ServiceKind::Disk,
        read_only: false,
    };
    Services::Given(addresses.iter().enumerate().map(service).collect())
}

async fn get(store: &ServerStore) -> Result<Option<Vec<u8>>, StoreError> {
    match store.read(block(), 0, 0).await? {
        Some(bytes) => Ok(Some(bytes.try_collect::<Vec<Bytes>>().await?.concat())),
        None => Ok(None),
    }
}

async fn put(store: &ServerStore) -> Result<Placed, StoreError> {
    let mut writer = store.writer().await?;
    writer.write(Bytes::from_static(CONTENT)).await?;
    writer.finish(block(), None).await
}

#[tokio::test]
async fn what_may_pass_is_asked_for_again_and_what_may_not_is_not() {
    for (answers, requests, found) in [
        (vec![says(503), says(500), gives(CONTENT)], 3, Some(true)),
        (vec![says(503), says(503), says(503), gives(CONTENT)], 3, None),
        (vec![says(422), gives(CONTENT)], 1, None),
        (vec![says(404)], 1, Some(false)),
        (vec![gives(b"something of another len"), gives(CONTENT)], 1, None),
        (vec![gives(b"the c0ntent of a block"), gives(CONTENT)], 1, None),
    ] {
        let script = Script::default();
        let address = script.serve(answers).await;
        let store = store(Services::given([address.as_str()]), options()).await;
        let got = get(&store).await;
        assert_eq!(script.asked().len(), requests, "{got:?}");
        assert_eq!(got.as_ref().ok().map(Option::is_some), found, "{got:?}");
        assert_eq!(
            matches!(got, Err(StoreError::Damaged { .. })),
            requests == 1 && found.is_none() && !format!("{got:?}").contains("422")
        );
    }
}

#[tokio::test]
async fn a_bad_copy_is_followed_by_the_next_and_absent_is_only_what_all_say() {
    let (first, second) = (Script::default(), Script::default());
    let bad = || gives(b"the c0ntent of a block");
    // Whichever is asked first.
    let addresses = [first.serve([bad(), says(404)]).await, second.serve([bad(), says(503)]).await];
    let store = store(disks(&addresses), ServerOptions { retries: 0, ..options() }).await;
    assert!(matches!(get(&store).await, Err(StoreError::Damaged { .. })));
    assert!(matches!(get(&store).await, Err(StoreError::Away { .. })), "503 is no absence");
    assert_eq!(get(&store).await.unwrap(), None);
    first.serve([gives(CONTENT)]).await;
    assert_eq!(get(&store).await.unwrap().unwrap(), CONTENT);
    let asked = first.asked().len() + second.asked().len();
    assert_eq!(get(&store).await.unwrap().unwrap(), CONTENT, "from the cache");
    assert_eq!((asked > 6, first.asked().len() + second.asked().len()), (true, 0));
}

#[tokio::test]
async fn what_a_keepstore_finds_damaged_is_damaged_and_not_away() {
    let says_it = |status, body: &'static [u8]| Answer { body: Bytes::from_static(body), ..says(status) };
    let script = Script::default();
    let broken = says_it(502, b"checksum mismatch in stored data\n");
    let address = script.serve([broken, says_it(500, b"hash collision\n")]).await;
    let store = store(Services::given([address.as_str()]), options()).await;
    let read = get(&store).await.unwrap_err();
    assert!(matches!(read, StoreError::Damaged { .. }), "{read}");
    let written = put(&store).await.unwrap_err();
    assert!(matches!(written, StoreError::Failed { .. }), "{written}");
    for error in [read, written] {
        assert!(error.to_string().contains("damaged") && error.to_string().contains(&address), "{error}");
    }
    assert_eq!(script.asked().len(), 2, "nothing is asked again");
}

#[tokio::test]
async fn keepstores_make_a_copy_each_and_others_all_of_them() {
    let (first, second) = (Script::default(), Script::default());
    let addresses = [first.serve([stored(1)]).await, second.serve([says(503), stored(1)]).await];
    let two = ServerOptions { replicas: Some(2), ..options() };
    let disks = store(disks(&addresses), two.clone()).await;
    put(&disks).await.unwrap();
    assert_eq!((first.asked().len(), second.asked().len()), (1, 2));
    assert_eq!(disks.locator(block()), signed("7fffffff"));
    // Servers keep what they have just stored, so nobody is asked.
    assert!(disks.missing(&[block()]).await.unwrap().is_empty());
    assert_eq!(first.asked().len() + second.asked().len(), 0);

    let proxy = Script::default();
    let address = proxy.serve([stored(2)]).await;
    put(&store(Services::given([address.as_str()]), two.clone()).await).await.unwrap();
    assert_eq!(proxy.asked(), [format!("PUT /{} 2 Bearer secret", block().hash)]);
    proxy.0.lock().unwrap().0.push_back(stored(1));
    let short = put(&store(Services::given([address.as_str()]), two).await).await.unwrap_err().to_string();
    assert!(short.contains("1 of 2"), "{short}");
}

#[tokio::test]
async fn a_block_that_is_not_signed_counts_only_if_the_server_gives_it_back() {
    let unsigned = || Answer { body: Locator::of(CONTENT).to_string().into(), ..stored(1) };
    let there = || Answer { headers: vec![("Content-Length", CONTENT.len().to_string())], ..says(200) };
    let (head, put_it) = (format!("HEAD /{}", Locator::of(CONTENT)), format!("PUT /{}", block().hash));
    for status in [401, 403, 404] {
        let script = Script::default();
        let address = script.serve([unsigned(), says(status)]).await;
        let store = store(Services::given([address.as_str()]), options()).await;
        let refused = put(&store).await.unwrap_err().to_string();
        assert!(refused.contains(&address) && refused.contains("does not give it back"), "{refused}");
        assert!(script.asked()[1].starts_with(&head));
    }
    let script = Script::default();
    let address = script.serve([unsigned(), there(), unsigned()]).await;
    let store = store(Services::given([address.as_str()]), options()).await;
    put(&store).await.unwrap();
    put(&store).await.unwrap();
    let asked = script.asked();
    assert!(
        [&put_it, &head, &put_it].into_iter().zip(&asked).all(|(begin, asked)| asked.starts_with(begin)),
        "{asked:?}"
    );
    assert_eq!(asked.len(), 3, "one block shows it for the next ones");
}

#[tokio::test]
async fn a_storage_class_counts_only_if_it_is_confirmed() {
    let script = Script::default();
    let confirms = |classes: &str| {
        let mut answer = stored(1);
        answer.headers.push(("X-Keep-Storage-Classes-Confirmed", classes.to_owned()));
        answer
    };
    let address = script.serve([confirms("default=1"), confirms("archival=1, default=1")]).await;
    let options = ServerOptions { classes: vec!["archival".into()], retries: 0, ..options() };
    let store = store(Services::given([address.as_str()]), options).await;
    let refused = put(&store).await.unwrap_err().to_string();
    assert!(refused.contains("archival"), "{refused}");
    put(&store).await.unwrap();
}

#[tokio::test]
async fn full_servers_are_full() {
    for full in [says(507), Answer { body: Bytes::from_static(b"Full"), ..says(503) }] {
        let script = Script::default();
        let address = script.serve([full]).await;
        let store = store(Services::given([address.as_str()]), options()).await;
        assert!(matches!(put(&store).await, Err(StoreError::Full { .. })));
        assert_eq!(script.asked().len(), 1);
    }
}

#[tokio::test]
async fn a_server_that_hangs_is_away_and_one_that_answers_at_all_is_not() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let hanging = format!("http://{}", listener.local_addr().unwrap());
    let wait = Duration::from_millis(100);
    let waits = Waits { look: wait, change: wait, block: wait, store: wait };
    let options = ServerOptions { waits, trusted: Duration::ZERO, ..options() };
    let away = store(Services::given([hanging.as_str()]), options.clone()).await;
    assert!(matches!(away.missing(&[block()]).await, Err(StoreError::Away { .. })));
    assert!(matches!(away.reach().await, Err(StoreError::Away { .. })));
    for (status, reached) in [(404, true), (403, true), (401, false), (502, false)] {
        let script = Script::default();
        let address = script.serve([says(status)]).await;
        let either = store(Services::given([hanging.as_str(), address.as_str()]), options.clone()).await;
        assert_eq!(either.reach().await.is_ok(), reached, "{status}");
    }
}

#[tokio::test]
async fn what_was_just_stored_is_asked_after_all_the_same_if_nobody_is_to_be_trusted() {
    let script = Script::default();
    let address = script.serve([stored(1)]).await;
    let options = ServerOptions { trusted: Duration::ZERO, ..options() };
    let store = store(Services::given([address.as_str()]), options).await;
    put(&store).await.unwrap();
    assert_eq!(store.missing(&[block()]).await.unwrap(), [block()]);
    assert_eq!(script.asked().len(), 2);
}

#[tokio::test]
async fn a_new_token_in_the_file_is_taken_when_the_old_one_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("token");
    std::fs::write(&file, "old\n").unwrap();
    let script = Script::default();
    let address = script.serve([says(401), gives(CONTENT)]).await;
    let http = Http::new(&Access { token: Token::File(file.clone()), ..Access::default() }).await.unwrap();
    let store = ServerStore::new(http, Services::given([address.as_str()]), options());
    std::fs::write(&file, "new\n").unwrap();
    assert_eq!(get(&store).await.unwrap().unwrap(), CONTENT);
    let tokens: Vec<String> = script.asked().iter().map(|asked| asked.rsplit(' ').next().unwrap().to_owned()).collect();
    assert_eq!(tokens, ["old", "new"]);
}

struct Signer;

#[async_trait]
impl Renew for Signer {
    async fn renew(&self, _block: Block) -> Result<Option<Locator>, ApiError> {
        Ok(Some(signed("7ffffffe")))
    }
}

#[tokio::test]
async fn a_signature_that_expired_or_is_refused_is_renewed() {
    for (known, answers) in [("10000000", vec![gives(CONTENT)]), ("7fffffff", vec![says(400), gives(CONTENT)])] {
        let script = Script::default();
        let address = script.serve(answers).await;
        let store = store(Services::given([address.as_str()]), options()).await;
        store.learn(&signed(known));
        let signer: Arc<dyn Renew> = Arc::new(Signer);
        store.renew_by(&signer);
        assert_eq!(get(&store).await.unwrap().unwrap(), CONTENT);
        let asked = script.asked().pop().unwrap();
        assert!(asked.contains("@7ffffffe"), "{asked}");
    }
}

#[tokio::test]
async fn hints_name_who_is_asked_first() {
    let services: Vec<Service> = (0..4)
        .map(|index| Service {
            uuid: format!("zzzzz-bi6l4-{index:015}"),
            base: format!("http://{index}"),
            kind: if index == 3 { ServiceKind::Gateway } else { ServiceKind::Disk },
            read_only: false,
        })
        .collect();
    let order = |hints: &[&str]| {
        let order = services::in_order(block().hash, hints.iter().copied(), &services);
        order.into_iter().map(|service| service.base).collect::<Vec<_>>()
    };
    assert_eq!(order(&[]).len(), 3);
    assert_eq!(order(&["K@zzzzz-bi6l4-000000000000003"])[0], "http://3");
    assert_eq!(order(&["K@abcde"])[0], "https://keep.abcde.arvadosapi.com");
}
