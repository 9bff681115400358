//! A real S3 server on loopback, moto's, one for each program of tests. It ends with the program.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use keep_store::s3::{Bucket, BucketPlace, Credentials, Deadlines};

/// The server, and a new bucket on it.
pub(crate) struct Moto {
    pub(crate) endpoint: &'static str,
    pub(crate) bucket: String,
}

impl Moto {
    /// Makes a bucket.
    pub(crate) async fn bucket() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        static SERVER: OnceLock<(String, Child)> = OnceLock::new();
        let (endpoint, _) = SERVER.get_or_init(start);
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos();
        let bucket = format!("bucket-{since}-{}", NUMBER.fetch_add(1, Ordering::Relaxed));
        let moto = Self { endpoint, bucket };
        moto.client().put(moto.url("")).send().await.unwrap().error_for_status().unwrap();
        moto
    }

    /// Returns a client for the bucket, or what has `prefix` in it.
    pub(crate) fn open(&self, prefix: &str) -> Bucket {
        open(self.endpoint, &self.bucket, prefix, Duration::from_secs(60))
    }

    /// Asks the server something that needs no signature.
    pub(crate) async fn ask(&self, query: &str) -> String {
        self.client().get(self.url(query)).send().await.unwrap().text().await.unwrap()
    }

    /// Writes an object as somebody else does.
    pub(crate) async fn write(&self, name: &str, content: &[u8]) {
        self.open("").put(name, vec![Bytes::copy_from_slice(content)]).await.unwrap();
    }

    /// The names of all objects, in order.
    pub(crate) async fn names(&self) -> Vec<String> {
        let listed = self.ask("?list-type=2").await;
        listed.split("<Key>").skip(1).map(|rest| rest.split_once("</Key>").unwrap().0.to_owned()).collect()
    }

    fn client(&self) -> reqwest::Client {
        reqwest::Client::new()
    }

    fn url(&self, rest: &str) -> String {
        format!("{}/{}/{rest}", self.endpoint, self.bucket)
    }
}

/// Returns a client for a bucket that is perhaps not there, whose server is waited for so long.
pub(crate) fn open(endpoint: &str, bucket: &str, prefix: &str, patience: Duration) -> Bucket {
    let place = BucketPlace {
        bucket: bucket.to_owned(),
        prefix: prefix.to_owned(),
        endpoint: Some(endpoint.to_owned()),
        region: None,
        path_style: true,
        storage_class: None,
        certificates: None,
    };
    let credentials = Credentials::parse("AKIAEXAMPLE\nhunter2\n").unwrap();
    let deadlines = Deadlines { connect: patience, answer: patience, progress: patience };
    Bucket::new(place, Some(&credentials), deadlines).unwrap()
}

/// Starts the server by a shell that ends it when our end of its input is closed.
fn start() -> (String, Child) {
    let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("../.peers/moto/bin/moto_server");
    assert!(program.exists(), "no {}: run script/bootstrap", program.display());
    let mut shell = Command::new("sh");
    shell.args(["-c", "\"$0\" -H 127.0.0.1 -p 0 2>&1 & read -r _; kill $!"]).arg(program);
    let mut child = shell.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let address = lines.by_ref().find_map(|line| Some(line.unwrap().split_once("Running on ")?.1.trim().to_owned()));
    // It goes on writing its log.
    std::thread::spawn(move || lines.for_each(drop));
    (address.expect("moto_server did not start"), child)
}
