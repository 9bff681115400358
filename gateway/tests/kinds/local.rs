//! Repositories and directories on this machine.

use annex_gateway::node::NodeSpec;

use crate::config;

#[test]
fn specs_are_read_as_they_are_written() {
    for text in ["annex:/srv/a:b", "directory:/d", "directory:d?chunk=1048576", "directory:/what?/d?"] {
        assert_eq!(NodeSpec::parse(text).unwrap().to_string(), text);
    }
    assert_eq!(NodeSpec::parse("directory:/d?chunk=1MiB").unwrap().to_string(), "directory:/d?chunk=1048576");
    assert_eq!(NodeSpec::parse("directory:/d?encryption=none&chunk=0").unwrap().to_string(), "directory:/d");
}

#[test]
fn what_cannot_be_is_refused_with_the_reason() {
    let refused = |text: &str| NodeSpec::parse(text).unwrap_err();
    assert!(refused("directory:/d?encryption=shared").contains("encryption=none"));
    assert!(refused("directory:/d?chunk=many").contains("chunk=1MiB"));
    assert!(refused("directory:/d?color=red").contains("color"));
    assert!(refused("annex:").contains("no repository"));
    assert!(refused("directory:?chunk=1").contains("no directory"));
    assert!(config("store = \"directory:/d\"").unwrap_err().contains("set repo"));
    assert!(config("store = \"annex:/d\"\nrepo = \"data\"").unwrap_err().contains("set uuid"));
    config("store = \"directory:/d\"\nrepo = \"data\"").unwrap();
    config("store = \"annex:/d\"\nrepo = \"data\"\nuuid = \"59a5eba9-ef36-4fc5-b11d-effc1bd2effc\"").unwrap();
}
