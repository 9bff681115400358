//! External special remotes.

use std::path::Path;
use std::time::Duration;

use annex_gateway::node::NodeSpec;
use annex_gateway::node::external::kind::External;
use annex_gateway::node::kind::secret::Secret;

use crate::config;

fn node(text: &str) -> Result<NodeSpec, String> {
    config(text).map(|config| config.nodes["a"].store.clone())
}

#[test]
fn a_spec_reads_as_it_is_written() {
    for text in ["external:keep", "external:rclone?prefix=a b/%26%25&target=x", "external:my-kind.2?a="] {
        let spec = NodeSpec::parse(text).unwrap();
        assert_eq!(spec.to_string(), text);
        assert_eq!(NodeSpec::parse(&spec.to_string()).unwrap(), spec);
    }
    let spec = NodeSpec::parse("external:d?directory=%2Fa%20b&encryption=none").unwrap();
    let external = spec.of_kind::<External>().unwrap();
    assert_eq!(external.settings["directory"], "/a b");
}

#[test]
fn what_cannot_be_is_refused() {
    for (text, word) in [
        ("store = \"external:keep\"", "set repo"),
        ("store = \"external:../keep\"\nrepo = \"data\"", "no type"),
        ("store = \"external:keep?x\"\nrepo = \"data\"", "NAME=VALUE"),
        ("store = \"external:keep?x=%zz\"\nrepo = \"data\"", "URL"),
        ("store = \"external:keep?x=%0a\"\nrepo = \"data\"", "cannot carry"),
        ("store = \"external:keep?encryption=shared\"\nrepo = \"data\"", "encryption"),
        ("store = \"external:keep?chunk=1MiB\"\nrepo = \"data\"", "chunk"),
        ("store = \"external:keep?exporttree=yes\"\nrepo = \"data\"", "annexobjects"),
        ("store = \"external:keep\"\nrepo = \"data\"\nsecrets = { a = \"hunter2\" }", "never the secret"),
        ("store = \"keep:/a\"\nprocesses = 2", "external:TYPE"),
        ("store = \"keep:/a\"\nprocess = 2", "process"),
    ] {
        let error = node(text).unwrap_err();
        assert!(error.contains(word), "{text}: {error}");
        assert!(!error.contains("hunter2"));
    }
}

#[test]
fn secrets_come_from_files_and_the_environment() {
    let text = "store = \"external:k\"\nrepo = \"data\"\ndeadline_seconds = 5\n\
        secrets = { a = \"file:aws\", b = \"env:HOME,PATH\" }";
    let spec = node(text).unwrap().absolute(Path::new("/site"));
    let external = spec.of_kind::<External>().unwrap();
    assert_eq!(external.secrets["a"], Secret::File("/site/aws".into()));
    assert_eq!(external.secrets["b"].read().unwrap().lines().count(), 2);
    assert_eq!((external.processes, external.deadline), (4, Some(Duration::from_secs(5))));
    assert!(external.secrets["a"].read().unwrap_err().contains("/site/aws"));
}
