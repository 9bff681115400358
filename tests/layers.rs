//! Who may use whom: the house rules of ARCHITECTURE.md, as far as Cargo cannot check them.
//!
//! Cargo sees to the order of the crates. Here stands the order within them, and which rooms of a crate another crate
//! may enter. Paths are followed through `use`, `super` and re-exports to the file that defines the name.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may fail loudly, in its helpers too")]

use std::collections::BTreeSet;
use std::fs;
use std::sync::LazyLock;

use house::House;
use source::{Source, root};

#[path = "layers/house.rs"]
mod house;
#[path = "layers/source.rs"]
mod source;

static HOUSE: LazyLock<House> = LazyLock::new(House::read);

/// Each room, and the rooms that it may use besides itself and the protocol. A line uses lines below it, never above.
/// A room within a room has a line of its own, above, where it may use more.
const MAY_USE: &[(&str, &[&str])] = &[
    ("annex_keep::main", &["annex_keep::cli"]),
    ("annex_keep::cli", EVERYTHING),
    ("annex_keep::assemble", &["annex_keep::host", "annex_keep::error", "annex_gateway", "keep_store"]),
    (
        "annex_keep::upkeep",
        &[
            "annex_keep::host",
            "annex_keep::arvados",
            "annex_keep::error",
            "annex_gateway::gateway",
            "annex_gateway::node",
            "annex_gateway::site",
            "keep_store::entries",
            "keep_store::store",
            "keep_store::base",
        ],
    ),
    ("annex_keep::doors::hook", &["annex_keep::host", "annex_keep::error", GIT, BRANCH, SITE]),
    ("annex_keep::doors::notify", &["annex_keep::host", "annex_gateway::gateway", GIT, SITE, BASE]),
    ("annex_keep::doors::http::arvados", &["annex_keep::host", "annex_keep::arvados", SITE, BASE]),
    (
        "annex_keep::doors::http::keep",
        &[
            "annex_keep::host",
            "annex_keep::arvados",
            "annex_gateway::gateway",
            SITE,
            "keep_store::service",
            "keep_store::store",
            BASE,
        ],
    ),
    (
        "annex_keep::doors",
        &[
            "annex_keep::host",
            "annex_keep::error",
            "annex_gateway::gateway",
            SITE,
            "annex_gateway::wire",
            LOCK_TIME,
            BASE,
        ],
    ),
    (
        "annex_keep::host",
        &[
            "annex_keep::arvados",
            "annex_keep::error",
            "annex_gateway::gateway",
            "annex_gateway::node",
            "annex_gateway::database",
            "annex_gateway::pace",
            BRANCH,
            GIT,
            SITE,
            "keep_store::service",
            BASE,
        ],
    ),
    (
        "annex_keep::arvados",
        &["annex_gateway::database", SITE, "keep_store::service", "keep_store::entries", "keep_store::store", BASE],
    ),
    ("annex_keep::special_remote", &["keep_store::entries", "keep_store::index", "keep_store::store", BASE]),
    // What an exit code is made of.
    ("annex_keep::error", &["annex_gateway::gateway", BRANCH, SITE]),
    (
        "annex_gateway::gateway::error",
        &["annex_gateway::node", BRANCH, GIT, SITE, "keep_store::service", "keep_store::store"],
    ),
    (
        "annex_gateway::gateway",
        &["annex_gateway::node", "annex_gateway::pace", "annex_gateway::spool", LOCK_TIME, BRANCH, SITE, BASE],
    ),
    // A site's configuration names nodes, each kind by what the kind itself says.
    ("annex_gateway::site", &["annex_gateway::node", LOCK_TIME, BASE]),
    ("annex_gateway::node::annex", &[BRANCH, GIT, LOCK_TIME, BASE]),
    ("annex_gateway::node::keep", &["keep_store::entries", "keep_store::service", "keep_store::store", BASE]),
    // What several kinds open with: Keep stores, Keep servers, buckets.
    (
        "annex_gateway::node::kind",
        &[
            "annex_gateway::spool",
            "keep_store::entries",
            "keep_store::service",
            "keep_store::store",
            "keep_store::s3",
            BASE,
        ],
    ),
    ("annex_gateway::node::arvados", &["keep_store::entries", "keep_store::store", BASE]),
    ("annex_gateway::node::s3", &["keep_store::s3", BASE]),
    ("annex_gateway::node", &["annex_gateway::spool", "annex_gateway::wire", BASE]),
    ("annex_gateway::branch", &[GIT, BASE]),
    ("annex_gateway::git", &[BASE]),
    ("annex_gateway::database", &[BASE]),
    ("annex_gateway::spool", &[BASE]),
    ("annex_gateway::wire", &[BASE]),
    ("annex_gateway::pace", &[]),
    ("annex_gateway::lock_time", &[]),
    ("keep_store::service", &["keep_store::entries", "keep_store::store", BASE]),
    ("keep_store::entries", &["keep_store::index", "keep_store::store", BASE]),
    ("keep_store::index", &["keep_store::store", BASE]),
    ("keep_store::store", &["keep_store::s3", BASE]),
    ("keep_store::s3", &[BASE]),
    ("keep_store::base", &[]),
];
const EVERYTHING: &[&str] = &["annex_keep", "annex_gateway", "keep_store"];
const BRANCH: &str = "annex_gateway::branch";
const GIT: &str = "annex_gateway::git";
const LOCK_TIME: &str = "annex_gateway::lock_time";
const SITE: &str = "annex_gateway::site";
const BASE: &str = "keep_store::base";

/// Ports, their adapters, and the rooms that choose an adapter by its name. All others know the port alone.
const PORTS: &[(&str, &[&str], &[&str])] = &[
    (
        "annex_gateway::node",
        &["annex", "arvados", "directory", "external", "keep", "memory", "p2p", "p2p_http", "s3"],
        &[
            "annex_gateway::node::kinds",
            // What only git-annex itself can do in its repository is asked of it over the P2P protocol.
            "annex_gateway::node::annex::kind",
            // The commands of one Keep store.
            "annex_keep::cli::keep",
        ],
    ),
    ("annex_gateway::database", &["postgres", "sqlite"], &["annex_keep::assemble"]),
    (
        "keep_store::store",
        &["dir", "memory", "s3", "servers", "volumes"],
        &[
            "annex_gateway::node::keep",
            "annex_gateway::node::kind",
            "annex_keep::special_remote",
            "annex_keep::cli::keep",
            // Several stores as one answer with how many copies there are.
            "annex_keep::doors::http::keep",
            "keep_store::service",
            "keep_store::entries",
            // Collections are records of an Arvados cluster, asked for at its API server.
            "annex_gateway::node::arvados",
        ],
    ),
    ("keep_store::index", &["nothing", "sqlite"], &["keep_store::entries"]),
];

/// Crates of others, and the only places that name them.
const FENCES: &[(&str, &[&str])] = &[
    ("axum", &["src/doors/http"]),
    ("clap", &["src/cli"]),
    ("gix", &["gateway/src/git"]),
    ("hyper", &["src/doors/http"]),
    ("hyper_util", &["src/doors/http"]),
    ("object_store", &["keep/src/s3"]),
    ("prometheus_client", &["src/host/metrics", "src/host/traffic/counters", "gateway/src/node/measured"]),
    // Calls are made where a protocol is spoken over HTTP. The client is made in one place, with one policy.
    ("reqwest::Client::builder", &[HTTP_CLIENT]),
    ("reqwest::Client::new", &[HTTP_CLIENT]),
    ("reqwest::ClientBuilder", &[HTTP_CLIENT]),
    ("reqwest::get", &[]),
    ("reqwest", &[HTTP_CLIENT, "keep/src/store/servers", "keep/src/entries/collections", "gateway/src/node/p2p_http"]),
    (
        "rusqlite",
        &[
            "keep/src/index/sqlite",
            "gateway/src/database/sqlite",
            "gateway/src/site/database",
            // git-annex's own table of unlocked files.
            "gateway/src/node/annex/unlocked",
            // What an external special remote wants remembered.
            "gateway/src/node/external/remembered",
        ],
    ),
    ("russh", &["src/doors/ssh"]),
    ("rustls", &[HTTP_CLIENT, "src/doors/http/tls"]),
    ("sd_notify", &["src/cli/serve"]),
    ("tokio_postgres", &["gateway/src/database/postgres"]),
    ("tokio_rustls", &["src/doors/http/listen"]),
    ("toml", &["gateway/src/site/config"]),
    ("toml_edit", &["gateway/src/site/config", "gateway/src/site/node"]),
    ("tower", &["src/doors/http"]),
    ("tower_http", &["src/doors/http"]),
    ("tracing_subscriber", &["src/cli/log"]),
];
const HTTP_CLIENT: &str = "keep/src/base/http_client";

/// What a Keep store takes from the protocol: nothing that is git-annex's.
const FORMATS_OF_KEEP: &[&str] = &["annex_protocol::keep", "annex_protocol::manifest"];

/// What `protocol` may depend on: hashes, encodings, parsers. Nothing that does I/O, no runtime, no clock.
const PURE: &[&str] = &[
    "base64",
    "blake2b_simd",
    "blake2s_simd",
    "blake3",
    "hmac",
    "md-5",
    "nom",
    "sha1",
    "sha2",
    "sha3",
    "skein",
    "thiserror",
    "twox-hash",
];

/// Parts of the standard library that touch the world.
const IMPURE: &[&str] = &[
    "std::env",
    "std::fs",
    "std::net",
    "std::os",
    "std::process",
    "std::thread",
    "std::time::SystemTime::now",
    "std::time::Instant::now",
];

#[test]
fn rooms_use_only_the_rooms_below_them() {
    let mut broken = Vec::new();
    for file in &HOUSE.files {
        let (_, allowed) = line(file).unwrap_or(&("", &[]));
        for (target, path) in HOUSE.uses(file).into_values() {
            let mut fine = allowed.iter().chain(&["annex_protocol"]);
            if top(file) != top(target) && !fine.any(|room| within(&target.module, room)) {
                broken.push(format!("{}: may not use {path} of {}", file.name, target.name));
            }
        }
    }
    assert!(broken.is_empty(), "ARCHITECTURE.md says who may use whom:\n{}", broken.join("\n"));
}

#[test]
fn every_room_is_in_the_table_and_every_line_of_it_leads_down_to_rooms() {
    let rooms: BTreeSet<String> = HOUSE.files.iter().filter(|file| file.module.len() > 1).map(top).collect();
    let rooms: BTreeSet<&str> =
        rooms.iter().map(String::as_str).filter(|room| !room.starts_with("annex_prot")).collect();
    let listed = MAY_USE.iter().map(|(room, _)| *room).filter(|room| room.matches("::").count() == 1).collect();
    assert_eq!(rooms, listed);
    for (at, (room, uses)) in MAY_USE.iter().enumerate() {
        assert!(HOUSE.files.iter().any(|file| within(&file.module, room)), "no file is in {room}");
        for used in uses.iter().filter(|used| used.contains("::")) {
            assert!(MAY_USE[at..].iter().any(|(below, _)| below == used), "{room} is not above {used}");
        }
    }
}

#[test]
fn adapters_of_a_port_never_know_each_other_and_are_named_only_where_they_are_chosen() {
    let mut broken = Vec::new();
    for (port, adapters, choosers) in PORTS {
        for adapter in *adapters {
            let room = format!("{port}::{adapter}");
            assert!(HOUSE.files.iter().any(|file| within(&file.module, &room)), "no file is in {room}");
            for file in &HOUSE.files {
                if within(&file.module, &room) || choosers.iter().any(|chooser| within(&file.module, chooser)) {
                    continue;
                }
                let named = HOUSE.uses(file).into_values().filter(|(target, _)| within(&target.module, &room));
                broken.extend(named.map(|(target, path)| format!("{}: names {path} of {}", file.name, target.name)));
            }
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

#[test]
fn nothing_is_reexported_from_another_room() {
    let mut broken = Vec::new();
    for file in &HOUSE.files {
        for export in &file.exports {
            let foreign = HOUSE.home(file, export).is_some_and(|home| top(home) != top(file));
            if foreign {
                broken.push(format!("{}: re-exports {}", file.name, export.join("::")));
            }
        }
    }
    assert!(broken.is_empty(), "callers name a thing where it is at home:\n{}", broken.join("\n"));
}

#[test]
fn crates_of_others_stay_behind_their_fences() {
    let mut broken = Vec::new();
    for (krate, places) in FENCES {
        for file in &HOUSE.files {
            let named = |path: &Vec<String>| HOUSE.full(file, path).is_some_and(|full| within(&full, krate));
            if file.paths.iter().any(named) && !places.iter().any(|place| is_at(&file.name, place)) {
                broken.push(format!("{}: names {krate}", file.name));
            }
        }
        for place in *places {
            assert!(HOUSE.files.iter().any(|file| is_at(&file.name, place)), "no file is at {place}");
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

/// What counts as a circle stands at [`House::circles`].
#[test]
fn files_never_form_a_circle() {
    let circles: Vec<String> = HOUSE.circles().iter().map(|circle| HOUSE.ties(circle).join("\n")).collect();
    assert!(circles.is_empty(), "a circle:\n{}", circles.join("\n\nanother one:\n"));
}

#[test]
fn a_keep_store_knows_nothing_of_git_annex() {
    for file in HOUSE.files.iter().filter(|file| file.module[0] == "keep_store") {
        for (target, path) in HOUSE.uses(file).into_values().filter(|(target, _)| target.module[0] == "annex_protocol")
        {
            let fine = FORMATS_OF_KEEP.iter().any(|format| within(&target.module, format));
            assert!(fine, "{}: may not use {path}", file.name);
        }
    }
}

#[test]
fn protocol_depends_on_nothing_that_does_io() {
    let manifest = fs::read_to_string(root().join("protocol/Cargo.toml")).unwrap();
    let manifest: toml::Table = manifest.parse().unwrap();
    for name in manifest["dependencies"].as_table().unwrap().keys() {
        assert!(PURE.contains(&name.as_str()), "protocol uses {name}: pure? then add it to PURE in tests/layers.rs");
    }
    assert!(!manifest.contains_key("target"), "protocol is the same on every target");
}

#[test]
fn protocol_reads_no_file_socket_clock_or_environment() {
    for file in HOUSE.files.iter().filter(|file| file.module[0] == "annex_protocol") {
        for path in file.paths.iter().filter_map(|path| HOUSE.full(file, path)) {
            assert!(!IMPURE.iter().any(|part| within(&path, part)), "{}: uses {}", file.name, path.join("::"));
        }
    }
}

#[test]
fn paths_are_found_however_they_are_written() {
    let file = source(
        "a::b",
        "use crate::{one::{self, x}, two as z}; // use crate::no;
         mod child;
         crate::four::f(); use super::sibling; \"crate::no\";
         pub(crate) use super::super::five::*; pub use child::Thing; mycrate::f; z::g(); child::h::<crate::six::T>();
         fn f() -> impl Sized + use<> { m!(crate::seven::S) }
         #[cfg(test)] mod tests { use crate::no; }",
    );
    let house = House::of(Vec::new());
    let mut found: Vec<String> = file.paths.iter().map(|path| house.full(&file, path).unwrap().join("::")).collect();
    found.sort();
    let all = "five four::f a::sibling one one::x two two::g seven::S six::T a::b::child::Thing a::b::child::h";
    let mut all: Vec<String> =
        all.split(' ').map(|path| format!("here::{path}")).chain(["mycrate::f".into()]).collect();
    all.sort();
    assert_eq!(found, all);
    assert_eq!(file.exports.len(), 2);
}

#[test]
fn circles_are_found_through_reexports() {
    let circles = |files: &[(&str, &str)]| {
        let house = House::of(files.iter().map(|(module, text)| source(module, text)).collect());
        house.circles().iter().map(|circle| circle.iter().copied().collect::<Vec<_>>().join(" ")).collect::<Vec<_>>()
    };
    let up_and_down = [("a", "mod x; pub use x::X;"), ("a::x", "use super::Type;")];
    assert!(circles(&up_and_down).is_empty(), "a module and its folder may know each other");
    let siblings = [("a", "mod x; mod y; pub use x::X;"), ("a::x", "use super::y;"), ("a::y", "use super::X;")];
    assert_eq!(circles(&siblings), ["a::x a::y"]);
    let around = [("a", "mod x; x::f();"), ("a::x", "use crate::b;"), ("b", "use crate::a;")];
    assert_eq!(circles(&around), ["a a::x b"]);
}

/// The line of the table for a file: the one of the innermost room that has one.
fn line(file: &Source) -> Option<&'static (&'static str, &'static [&'static str])> {
    MAY_USE.iter().filter(|(room, _)| within(&file.module, room)).max_by_key(|(room, _)| room.len())
}

/// The room that a file is in: its crate and its module there.
fn top(file: &Source) -> String {
    file.module[..file.module.len().min(2)].join("::")
}

/// Tells whether a path begins with another one, which is written with `::`.
fn within(path: &[String], room: &str) -> bool {
    room.split("::").enumerate().all(|(at, part)| path.get(at).is_some_and(|own| own == part))
}

/// Tells whether a file is the module at `place`, or in its folder.
fn is_at(file: &str, place: &str) -> bool {
    file.strip_prefix(place).is_some_and(|rest| rest == ".rs" || rest.starts_with('/'))
}

/// Makes a file of a crate `here` from its text.
fn source(module: &str, text: &str) -> Source {
    let path = ["here"].into_iter().chain(module.split("::")).map(str::to_owned).collect();
    Source::of(module, path, text)
}
