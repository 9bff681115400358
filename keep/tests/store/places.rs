//! The promises of block stores that need no server: a directory, memory, and what stands around them.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use annex_protocol::keep::ClusterId;
use async_trait::async_trait;
use bytes::Bytes;
use keep_store::base::clock::{ManualClock, SharedClock};
use keep_store::entries::{KeepError, KeepStore, Options};
use keep_store::service::{KeepService, Mount, OpenStore, Settings};
use keep_store::store::StoreParts;
use keep_store::store::dir::{Create, DirOptions, DirStore};

use super::*;
use crate::contract::{Damage, Tried};

/// Overwrites the files of blocks.
fn damage_files(root: &Path) -> Damage {
    let root = root.to_path_buf();
    Box::new(move |hash, wrong| {
        let file = root.join(&hash.to_string()[..3]).join(hash.to_string());
        Box::pin(async move { std::fs::write(file, wrong).unwrap() })
    })
}

fn damage_memory(stores: Vec<MemoryStore>) -> Damage {
    Box::new(move |hash, wrong| {
        stores.iter().for_each(|store| store.damage(hash, Bytes::from_static(wrong)));
        Box::pin(std::future::ready(()))
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_directory_keeps_the_promises_of_a_block_store() {
    contract::all(async || {
        let (dir, clock) = (tempfile::tempdir().unwrap(), contract::clock());
        let options = DirOptions { clock: clock.clone(), ..DirOptions::default() };
        let store = DirStore::open(dir.path(), Create::IfMissing, options).await.unwrap();
        let damage = Some(damage_files(dir.path()));
        Tried { damage, ..Tried::new(store.into(), &clock, dir) }
    })
    .await;
}

#[tokio::test]
async fn memory_keeps_the_promises_of_a_block_store() {
    contract::all(async || {
        let clock = contract::clock();
        let store = MemoryStore::new("memory", 1 << 30, clock.clone());
        let damage = Some(damage_memory(vec![store.clone()]));
        Tried { damage, ..Tried::new(store.into(), &clock, ()) }
    })
    .await;
}

fn several(clock: &Arc<ManualClock>, stores: &[MemoryStore]) -> Tried {
    let volume = |(number, store): (usize, &MemoryStore)| Volume {
        uuid: format!("zzzzz-nyw5e-{number:015}"),
        store: Arc::new(store.clone()),
        read_only: false,
        replication: 1,
        classes: ["default".to_owned()].into(),
    };
    let volumes = Volumes::new(stores.iter().enumerate().map(volume).collect());
    let damage = Some(damage_memory(stores.to_vec()));
    Tried { damage, ..Tried::new(StoreParts::plain(volumes), clock, ()) }
}

#[tokio::test]
async fn several_volumes_keep_the_promises_of_a_block_store() {
    contract::all(async || {
        let clock = contract::clock();
        let stores = [0, 1, 2].map(|number| MemoryStore::new(format!("memory {number}"), 1 << 30, clock.clone()));
        several(&clock, &stores)
    })
    .await;
}

/// A store in a directory, opened anew each time it is asked for something.
struct Opened(PathBuf, SharedClock);

#[async_trait]
impl OpenStore for Opened {
    fn name(&self) -> String {
        self.0.display().to_string()
    }

    async fn open(&self) -> Result<KeepStore, KeepError> {
        let options = Options { clock: self.1.clone(), ..Options::default() };
        KeepStore::open(&self.0, Create::IfMissing, options).await
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_that_is_opened_when_it_is_asked_keeps_the_promises_of_a_block_store() {
    contract::all(async || {
        let (dir, clock) = (tempfile::tempdir().unwrap(), contract::clock());
        let mount = Mount {
            uuid: "zzzzz-nyw5e-000000000000000".to_owned(),
            device: String::new(),
            read_only: false,
            replication: 1,
            classes: BTreeSet::new(),
            store: Arc::new(Opened(dir.path().to_path_buf(), clock.clone())),
        };
        let (cluster, lifetime) = (ClusterId::parse(b"zzzzz").unwrap(), Duration::from_secs(3600));
        let settings = Settings { cluster, key: Vec::new(), lifetime, memory: 0, clock: clock.clone() };
        let service = KeepService::new(vec![mount], &settings);
        let blocks = Arc::clone(&service.volumes().all()[0].store);
        let parts = StoreParts { blocks, unsynced: None, here: None, signed: None };
        let damage = Some(damage_files(dir.path()));
        Tried { damage, ..Tried::new(parts, &clock, dir) }
    })
    .await;
}
