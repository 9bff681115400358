//! Servers of Keep.

use annex_gateway::node::NodeSpec;
use annex_gateway::node::keep::servers::KeepHttpSpec;
use annex_gateway::node::kind::secret::Secret;

use crate::config;

#[test]
fn specs_are_read_as_they_are_written() {
    for text in [
        "arvados://x.example.org",
        "arvados://x.example.org:8443?project=zzzzz-j7d0g-0123456789abcde&collections=key&replicas=3&insecure=yes",
        "arvados://[::1]:8000?storageclasses=default,archival&ca_file=ca.pem",
        "keep+http://a:25107",
        "keep+https://a:25107,b:25107?index=/var/index&replicas=1",
    ] {
        let spec = NodeSpec::parse(text).unwrap();
        assert_eq!(spec.to_string(), text);
        assert_eq!(NodeSpec::parse(&spec.to_string()).unwrap(), spec);
        assert!(!spec.is_local());
    }
    assert_eq!(NodeSpec::parse("arvados://h/?collections=few").unwrap().to_string(), "arvados://h");
}

#[test]
fn what_cannot_be_is_refused_with_the_reason() {
    let refused = |text: &str| NodeSpec::parse(text).unwrap_err();
    assert!(refused("arvados://").contains("arvados://HOST"));
    assert!(refused("arvados://h?project=mine").contains("no UUID"));
    assert!(refused("arvados://h?replicas=0").contains("1 to 99"));
    assert!(refused("arvados://h?storageclasses=a,,b").contains("storageclasses"));
    assert!(refused("arvados://h?index=/x").contains("is no setting"));
    assert!(refused("arvados://h?insecure=maybe").contains("is no setting"));
    assert!(refused("keep+http://a,").contains("HOST"));
    assert!(refused("keep+http://a/path").contains("no HOST"));
    assert!(refused("keep+https://a?project=x").contains("is no setting"));
    let error = refused("arvados://hunter2@h");
    assert!(error.contains("without a user") && !error.contains("hunter2"));
    let error = config("store = \"arvados://h\"\nsecrets = { password = \"file:x\" }").unwrap_err();
    assert!(error.contains("secret token"), "{error}");
}

#[test]
fn a_token_stands_in_a_file_and_the_node_is_far() {
    let lines = "store = \"keep+http://a\"\nsecrets = { token = \"file:token\" }\nknown_seconds = 5";
    let config = config(lines).unwrap();
    assert!(!config.nodes["a"].scrub);
    let spec = config.nodes["a"].store.absolute("/site".as_ref());
    let spec = spec.of_kind::<KeepHttpSpec>().unwrap();
    assert_eq!(spec.servers.secret(), Some(Secret::File("/site/token".into())));
}
