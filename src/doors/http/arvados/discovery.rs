//! The discovery document: from it Arvados's Python client makes its methods.
//!
//! Source: `docs/spec/keep-collections.md` §4.3.

use axum::extract::{Request, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use serde_json::{Map, Value, json};

use super::answer::failed;
use super::{MAX_REQUEST, cluster};
use crate::arvados::Api;
use crate::arvados::ApiError;
use crate::doors::http::config::public_url;
use crate::host::hub::Hub;

/// A method of a resource: name, HTTP method, path behind the resource, parameters.
type Method = (&'static str, &'static str, &'static str, &'static [(&'static str, &'static str)]);

/// A mount asks for the document some twenty times. A day, as Arvados says, is long where the site's settings are in it.
const CACHED: &str = "public, max-age=3600";

const SELECT: (&str, &str) = ("select", "array");
const UNIQUE: (&str, &str) = ("ensure_unique_name", "boolean");
const REPLACE: (&str, &str) = ("replace_files", "object");
const TRASH: (&str, &str) = ("include_trash", "boolean");

/// What all lists take.
const LIST: &[(&str, &str)] = &[
    ("filters", "array"),
    ("order", "array"),
    SELECT,
    ("limit", "integer"),
    ("offset", "integer"),
    ("count", "string"),
    TRASH,
];

const RESOURCES: &[(&str, &[Method])] = &[
    (
        "collections",
        &[
            ("list", "GET", "", LIST),
            ("get", "GET", "/{uuid}", &[SELECT, TRASH]),
            ("create", "POST", "", &[SELECT, UNIQUE, REPLACE]),
            ("update", "PUT", "/{uuid}", &[SELECT, UNIQUE, REPLACE]),
            ("delete", "DELETE", "/{uuid}", &[]),
            ("trash", "POST", "/{uuid}/trash", &[]),
            ("untrash", "POST", "/{uuid}/untrash", &[]),
        ],
    ),
    (
        "groups",
        &[
            ("list", "GET", "", LIST),
            ("get", "GET", "/{uuid}", &[SELECT, TRASH]),
            ("create", "POST", "", &[SELECT, UNIQUE]),
            ("update", "PUT", "/{uuid}", &[SELECT]),
            ("delete", "DELETE", "/{uuid}", &[]),
            ("trash", "POST", "/{uuid}/trash", &[]),
            ("untrash", "POST", "/{uuid}/untrash", &[]),
        ],
    ),
    (
        "links",
        &[
            ("list", "GET", "", LIST),
            ("get", "GET", "/{uuid}", &[SELECT]),
            ("create", "POST", "", &[SELECT]),
            ("delete", "DELETE", "/{uuid}", &[]),
        ],
    ),
    ("keep_services", &[("accessible", "GET", "/accessible", &[])]),
    ("users", &[("current", "GET", "/current", &[SELECT]), ("get", "GET", "/{uuid}", &[SELECT])]),
    ("api_client_authorizations", &[("current", "GET", "/current", &[SELECT])]),
    ("configs", &[("get", "GET", "", &[])]),
];

/// What UUIDs tell of an object's kind.
const SCHEMAS: &[(&str, &str)] = &[
    ("ApiClientAuthorization", "gj3su"),
    ("Collection", "4zz18"),
    ("Group", "j7d0g"),
    ("KeepService", "bi6l4"),
    ("Link", "o0j2j"),
    ("User", "tpzed"),
    ("Workflow", "7fd4e"),
];

pub(super) async fn document(State(hub): State<Hub>, request: Request) -> Response {
    let (parts, _) = request.into_parts();
    let made = async {
        let api = hub.api().await?;
        let url = public_url(&hub, &parts).ok_or_else(|| ApiError::Invalid("the request names no host".to_owned()))?;
        Ok(describe(&api, url.to_string().trim_end_matches('/')))
    };
    match made.await {
        Ok(document) => ([(header::CACHE_CONTROL, CACHED)], axum::Json(document)).into_response(),
        Err(error) => failed(&error, hub.site().clock().unix_seconds()),
    }
}

fn describe(api: &Api, url: &str) -> Value {
    let schema = |(name, prefix): &(&str, &str)| {
        let schema = json!({ "id": name, "type": "object", "uuidPrefix": prefix, "properties": {} });
        ((*name).to_owned(), schema)
    };
    json!({
        "kind": "discovery#restDescription",
        "discoveryVersion": "v1",
        "id": "arvados:v1",
        "name": "arvados",
        "version": "v1",
        "title": "Arvados API",
        "protocol": "rest",
        "rootUrl": format!("{url}/"),
        "baseUrl": format!("{url}/arvados/v1/"),
        "basePath": "/arvados/v1/",
        "servicePath": "arvados/v1/",
        "batchPath": "batch",
        "source_version": env!("CARGO_PKG_VERSION"),
        "uuidPrefix": api.cluster().to_string(),
        "defaultTrashLifetime": api.trash_seconds(),
        "blobSignatureTtl": api.keep().service().lifetime().as_secs(),
        "maxRequestSize": MAX_REQUEST,
        "maxItemsPerResponse": 1000,
        "defaultCollectionReplication": cluster::replication(api),
        "parameters": {},
        "schemas": SCHEMAS.iter().map(schema).collect::<Map<_, _>>(),
        "resources": resources(),
    })
}

fn resources() -> Map<String, Value> {
    RESOURCES.iter().map(resource).collect()
}

fn resource((name, methods): &(&'static str, &'static [Method])) -> (String, Value) {
    // There is one configuration, and it is called so.
    let path = if *name == "configs" { "config" } else { name };
    let method = |(method, http, rest, parameters): &Method| {
        let mut all: Map<String, Value> =
            parameters.iter().map(|(name, kind)| parameter(name, kind, "query")).collect();
        if rest.contains("{uuid}") {
            all.extend([parameter("uuid", "string", "path")]);
        }
        // Without a description of the answer the client returns bytes.
        let mut described = json!({
            "id": format!("arvados.{name}.{method}"),
            "path": format!("{path}{rest}"),
            "httpMethod": http,
            "parameters": all,
            "response": {},
            "scopes": [],
        });
        if let (true, Some(described)) = (matches!(*method, "create" | "update"), described.as_object_mut()) {
            described.insert("request".to_owned(), json!({ "required": true, "properties": {} }));
        }
        ((*method).to_owned(), described)
    };
    ((*name).to_owned(), json!({ "methods": methods.iter().map(method).collect::<Map<_, _>>() }))
}

fn parameter(name: &str, kind: &str, place: &str) -> (String, Value) {
    (name.to_owned(), json!({ "type": kind, "location": place, "required": place == "path" }))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// What the real client does not ask of a single cluster.
    const UNUSED: [&str; 6] =
        ["bypass_federation", "cluster_id", "distinct", "include_old_versions", "replace_segments", "where"];

    #[test]
    fn the_smallest_document_that_works_with_the_real_client_is_part_of_ours() {
        let smallest: Value =
            serde_json::from_str(include_str!("../../../../tests/vectors/keep-discovery-min.json")).unwrap();
        let (ours, mut missing) = (Value::from(resources()), BTreeSet::new());
        for (name, resource) in smallest["resources"].as_object().unwrap() {
            for (method, wanted) in resource["methods"].as_object().unwrap() {
                let found = &ours[name]["methods"][method];
                for field in ["id", "path", "httpMethod", "response"] {
                    assert_eq!(found[field], wanted[field], "{name}.{method}: {field}");
                }
                assert!(found.get("request").is_some() || wanted.get("request").is_none(), "{name}.{method}: request");
                for (parameter, wanted) in wanted["parameters"].as_object().unwrap() {
                    match found["parameters"].get(parameter) {
                        Some(found) => {
                            for field in ["type", "location", "required"] {
                                assert_eq!(found[field], wanted[field], "{name}.{method}: {parameter}");
                            }
                        }
                        None => drop(missing.insert(parameter.as_str())),
                    }
                }
            }
        }
        assert_eq!(missing, BTreeSet::from(UNUSED));
        for (name, schema) in smallest["schemas"].as_object().unwrap() {
            let prefix = SCHEMAS.iter().find(|(known, _)| known == name).map(|(_, prefix)| *prefix);
            assert_eq!(prefix, schema["uuidPrefix"].as_str(), "{name}");
        }
    }
}
