//! Nodes of the P2P protocol.

use std::path::Path;

use annex_gateway::node::NodeSpec;
use annex_gateway::node::p2p::kind::{P2pServer, P2pSpec};
use annex_gateway::node::p2p_http::Password;
use annex_gateway::node::p2p_http::kind::HttpSpec;

use crate::config;

const OWN: &str = "repo = \"data\"\nuuid = \"1b0e07ac-3fb0-4d2c-8b39-7a2a2b4f7a11\"\n";

#[test]
fn specs_are_read_and_written() {
    for text in [
        "ssh://host/data",
        "ssh://me@host:2222/~/data",
        "ssh://[::1]:22/x y",
        "command:git-annex-shell p2pstdio '/a b' {client}",
        "annex+https://host/git-annex/",
    ] {
        assert_eq!(NodeSpec::parse(text).map(|spec| spec.to_string()), Ok(text.to_owned()));
    }
    let spec = NodeSpec::parse("ssh://me@host:2222/~/data").unwrap();
    let P2pServer::Ssh(ssh) = &spec.of_kind::<P2pSpec>().unwrap().server else { panic!("another server") };
    assert_eq!((ssh.user.as_deref(), ssh.port, ssh.path.as_str()), (Some("me"), Some(2222), "/~/data"));
}

#[test]
fn what_could_be_an_option_or_holds_a_password_is_refused() {
    for text in [
        "ssh://-oProxyCommand=x/data",
        "ssh://-l@host/data",
        "ssh://host",
        "ssh://host:x/data",
        "command:",
        "command:a 'b",
        "annex+http://me:secret@host/",
        "annex+http:host",
    ] {
        assert!(NodeSpec::parse(text).is_err(), "{text}");
    }
}

#[test]
fn such_a_node_is_a_repository_with_a_uuid_and_credentials_stand_apart() {
    let http = "store = \"annex+http://host/git-annex/\"\n";
    assert!(config(&format!("{http}{OWN}")).is_ok());
    assert!(config(http).unwrap_err().contains("uuid"));
    assert!(config(&format!("{http}{OWN}user = \"me\"\n")).unwrap_err().contains("password"));
    assert!(config(&format!("{http}{OWN}user = \"me\"\npassword_env = \"PW\"\n")).is_ok());
    assert!(config(&format!("{http}{OWN}ca_file = \"ca.pem\"\n")).unwrap_err().contains("https"));
    let ssh = "store = \"ssh://host/x\"\n";
    assert!(config(&format!("{ssh}{OWN}user = \"me\"\npassword_env = \"PW\"\n")).is_err());
    assert!(config("store = \"/keep\"\nuser = \"me\"\n").is_err());
}

#[test]
fn file_names_stand_in_the_site() {
    let text = format!("store = \"annex+https://h/\"\n{OWN}user = \"u\"\npassword_file = \"pw\"\nca_file = \"/ca\"\n");
    let config = config(&text).unwrap();
    let spec = config.nodes["a"].store.absolute(Path::new("/site"));
    let spec = spec.of_kind::<HttpSpec>().unwrap();
    assert_eq!(spec.credentials, Some(("u".to_owned(), Password::File("/site/pw".into()))));
    assert_eq!(spec.ca_file, Some("/ca".into()));
}
