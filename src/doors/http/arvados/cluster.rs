//! What clients ask about the cluster: its configuration, and where its blocks are.

use annex_gateway::site::cluster;
use annex_protocol::keep::ObjectKind;
use axum::http::Uri;
use serde_json::{Map, Value, json};

use super::call::Call;
use crate::arvados::{Api, ApiError};
use crate::doors::http::config::public_url;
use crate::host::hub::Hub;

/// How many copies are made for a client that does not say: two, as at Arvados, if there are stores for two.
const REPLICATION: u32 = 2;

/// Returns the part of the cluster's configuration that clients look at. It is for everybody.
pub(super) fn config(hub: &Hub, api: &Api, call: &Call) -> Value {
    let service = api.keep().service();
    let mounts = service.mounts().iter().filter(|mount| !mount.read_only);
    let classes = mounts.flat_map(|mount| &mount.classes);
    let class = |name: &String| (name.clone(), json!({ "Default": name == "default", "Priority": 0 }));
    let classes: Map<String, Value> = classes.map(class).collect();
    let url = public_url(hub, &call.parts).map(|url| url.to_string()).unwrap_or_default();
    let hours = |seconds: u64| format!("{}h{}m{}s", seconds / 3600, seconds / 60 % 60, seconds % 60);
    let trash = hub.site().config().keep.trash_lifetime.as_secs();
    json!({
        "ClusterID": api.cluster().to_string(),
        "API": { "MaxItemsPerResponse": 1000, "MaxRequestSize": super::MAX_REQUEST },
        "Collections": {
            "BlobSigning": true,
            "BlobSigningTTL": hours(service.lifetime().as_secs()),
            "BlobTrash": true,
            "CollectionVersioning": false,
            "DefaultReplication": replication(api),
            "DefaultTrashLifetime": hours(trash),
        },
        "StorageClasses": classes,
        "Services": { "Controller": { "ExternalURL": url }, "Keepproxy": { "ExternalURL": url } },
    })
}

/// Returns how many copies are made for a client that does not say.
pub(super) fn replication(api: &Api) -> u32 {
    let copies = api.keep().service().mounts().iter().filter(|mount| !mount.read_only).map(|mount| mount.replication);
    copies.sum::<u32>().clamp(1, REPLICATION)
}

/// Returns the places where blocks are: this door. It is of the kind that makes all copies by itself.
pub(super) fn keep_services(hub: &Hub, api: &Api, call: &Call) -> Result<Value, ApiError> {
    let url = public_url(hub, &call.parts);
    let (host, port, tls) =
        url.as_ref().and_then(place).ok_or_else(|| ApiError::Invalid("the request names no host".to_owned()))?;
    let uuid = cluster::uuid(api.cluster(), ObjectKind::KeepService.code(), b"site");
    let service = json!({
        "kind": "arvados#keepService",
        "uuid": uuid,
        "owner_uuid": format!("{}-tpzed-000000000000000", api.cluster()),
        "service_host": host,
        "service_port": port,
        "service_ssl_flag": tls,
        "service_type": "proxy",
        "read_only": false,
    });
    Ok(json!({ "kind": "arvados#keepServiceList", "items": [service], "items_available": 1, "offset": 0, "limit": 1 }))
}

fn place(url: &Uri) -> Option<(&str, u16, bool)> {
    let tls = url.scheme_str() == Some("https");
    let host = url.host()?.trim_matches(['[', ']']);
    Some((host, url.port_u16().unwrap_or(if tls { 443 } else { 80 }), tls))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_usual_ports_are_named() {
        for (url, wanted) in [
            ("https://h/", ("h", 443, true)),
            ("http://h:8080/pre", ("h", 8080, false)),
            ("https://[::1]:1/", ("::1", 1, true)),
        ] {
            assert_eq!(place(&url.parse().unwrap()), Some(wanted));
        }
        assert_eq!(place(&Uri::from_static("/x")), None);
    }
}
