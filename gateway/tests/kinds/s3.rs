//! Buckets, and Keep stores in them.

use annex_gateway::node::NodeSpec;
use annex_gateway::node::kind::bucket::BucketSpec;
use annex_gateway::node::kind::secret::Secret;

use crate::config;

#[test]
fn specs_are_read_as_they_are_written() {
    for text in [
        "s3://bucket",
        "s3://bucket/a/b?endpoint=http://localhost:5000&chunk=1048576&partsize=10485760",
        "s3://bucket?region=eu-west-1&requeststyle=path&fileprefix=photos-&storageclass=STANDARD_IA",
        "keep+s3://bucket/folder?region=x&prefixlength=3&index=/var/index",
        "keep+s3://bucket?prefixlength=3",
        "s3://bucket?endpoint=https://s3.example.org&requeststyle=virtual&ca_file=ca.pem&signature=anonymous",
    ] {
        let spec = NodeSpec::parse(text).unwrap();
        assert_eq!(spec.to_string(), text);
        assert_eq!(NodeSpec::parse(&spec.to_string()).unwrap(), spec);
    }
    assert_eq!(NodeSpec::parse("s3://b?fileprefix=a%2Fb/&chunk=1MiB").unwrap().to_string(), "s3://b/a/b?chunk=1048576");
    assert_eq!(NodeSpec::parse("s3://b/?encryption=none&chunk=0&signature=v4").unwrap().to_string(), "s3://b");
}

#[test]
fn what_cannot_be_is_refused_with_the_reason() {
    let refused = |text: &str| NodeSpec::parse(text).unwrap_err();
    assert!(refused("s3://b?encryption=shared").contains("encryption=none"));
    assert!(refused("s3://b?exporttree=yes").contains("not trees"));
    assert!(refused("s3://b?chunk=many").contains("chunk=10MiB"));
    assert!(refused("keep+s3://b?chunk=1MiB").contains("blocks of its own"));
    assert!(refused("keep+s3://b?prefixlength=x").contains("prefixlength"));
    assert!(refused("s3://b?prefixlength=3").contains("prefixlength"));
    assert!(refused("s3://b?color=red").contains("color"));
    assert!(refused("s3://?region=x").contains("no name of a bucket"));
    assert!(refused("s3://b/a?fileprefix=c").contains("not in both"));
    assert!(refused("s3://b?endpoint=localhost").contains("http(s)://"));
    let error = refused("s3://b?endpoint=http://user:hunter2@host");
    assert!(error.contains("without a user") && !error.contains("hunter2"));
    assert!(config("store = \"s3://b\"").unwrap_err().contains("set repo"));
    let error = config("store = \"s3://b\"\nrepo = \"data\"\nsecrets = { password = \"file:x\" }").unwrap_err();
    assert!(error.contains("s3creds"));
    config("store = \"s3://b\"\nrepo = \"data\"\nprocesses = 3").unwrap_err();
}

#[test]
fn credentials_stand_in_a_file_or_in_variables() {
    let node = |lines: &str| {
        let spec = config(lines).unwrap().nodes["a"].store.absolute("/site".as_ref());
        spec.of_kind::<BucketSpec>().unwrap().secret()
    };
    let file = node("store = \"s3://b\"\nrepo = \"data\"\nsecrets = { s3creds = \"file:aws\" }");
    assert_eq!(file, Some(Secret::File("/site/aws".into())));
    let usual = Secret::Environment(vec!["AWS_ACCESS_KEY_ID".to_owned(), "AWS_SECRET_ACCESS_KEY".to_owned()]);
    assert_eq!(node("store = \"s3://b\"\nrepo = \"data\""), Some(usual));
    assert_eq!(node("store = \"s3://b?signature=anonymous\"\nrepo = \"data\""), None);
}
