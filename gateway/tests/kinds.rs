//! What each kind of node reads from a configuration, and what it refuses.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::expect_used, clippy::panic, reason = "tests")]

use annex_gateway::site::Config;

#[path = "kinds/external.rs"]
mod external;
#[path = "kinds/local.rs"]
mod local;
#[path = "kinds/memory.rs"]
mod memory;
#[path = "kinds/p2p.rs"]
mod p2p;
#[path = "kinds/s3.rs"]
mod s3;
#[path = "kinds/servers.rs"]
mod servers;

/// Reads the configuration of a site with one node, `a`, whose section has these lines.
fn config(lines: &str) -> Result<Config, String> {
    Config::parse(&format!("[nodes.a]\nid = \"59a5eba9-ef36-4fc5-b11d-effc1bd2effc\"\n{lines}\n"))
}

#[test]
fn whoever_names_no_kind_is_told_which_ones_there_are() {
    let error = annex_gateway::node::NodeSpec::parse("tape:x").unwrap_err();
    let kinds = "it has keep:PATH, keep+s3://, keep+http(s)://, arvados://, annex:PATH, directory:PATH, external:TYPE, s3://, \
                 ssh://, command: and annex+http(s)://";
    assert_eq!(error, format!("this version has no nodes of kind \"tape\"; {kinds}"));
}
