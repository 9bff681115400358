//! Records as JSON objects, member by member as an API server names them.

use annex_gateway::site::user::User;
use annex_protocol::keep::ApiTime;
use serde_json::{Map, Value, json};

use super::{Api, Asking};
use crate::arvados::catalogue::{Base, Collection, Link, Project, Record};

/// The members of an object that a client asked for; all if it asked for none.
#[derive(Debug, Clone, Default)]
pub struct Select(pub Option<Vec<String>>);

impl Select {
    /// Tells whether a member is asked for by its name.
    pub fn names(&self, member: &str) -> bool {
        self.0.as_ref().is_some_and(|names| names.iter().any(|name| name == member))
    }

    /// Tells whether a member is asked for, by its name or with all others.
    fn wants(&self, member: &str) -> bool {
        self.0.is_none() || self.names(member)
    }

    /// Leaves the members that are asked for, and the kind.
    pub fn apply(&self, mut object: Map<String, Value>) -> Value {
        object.retain(|member, _| member == "kind" || self.wants(member));
        Value::Object(object)
    }
}

/// Something that clients see as an object.
pub trait ToJson: Record {
    /// Returns all its members, but those that depend on who asks; `now` in microseconds since the epoch.
    fn members(&self, now: i64) -> Map<String, Value>;
}

impl ToJson for Collection {
    fn members(&self, now: i64) -> Map<String, Value> {
        let mut members = base::<Self>(&self.base, now);
        members.extend(object(json!({
            "portable_data_hash": self.portable_data_hash,
            "replication_desired": self.replication_desired,
            "replication_confirmed": null,
            "replication_confirmed_at": null,
            "storage_classes_desired": parsed(&self.storage_classes_desired),
            "storage_classes_confirmed": [],
            "storage_classes_confirmed_at": null,
            "version": self.version,
            "current_version_uuid": self.base.uuid,
            "preserve_version": self.preserve_version,
            "file_count": self.file_count,
            "file_size_total": self.file_size_total,
        })));
        members
    }
}

impl ToJson for Project {
    fn members(&self, now: i64) -> Map<String, Value> {
        let mut members = base::<Self>(&self.base, now);
        members.extend(object(json!({ "group_class": self.group_class, "frozen_by_uuid": null })));
        members
    }
}

impl ToJson for Link {
    fn members(&self, now: i64) -> Map<String, Value> {
        let mut members = base::<Self>(&self.base, now);
        for of_trash in ["trash_at", "delete_at", "is_trashed", "description"] {
            members.remove(of_trash);
        }
        members.extend(object(json!({ "link_class": self.class, "tail_uuid": self.tail, "head_uuid": self.head })));
        members
    }
}

impl Api {
    /// Returns a collection as the caller asked for it, its manifest signed for the caller.
    pub async fn collection_json(&self, asking: &Asking, collection: &Collection, select: &Select) -> Value {
        let mut members = collection.members(self.now());
        if select.wants("manifest_text") {
            members.insert("manifest_text".to_owned(), self.signed(asking, collection).await.into());
        }
        if select.names("unsigned_manifest_text") {
            members.insert("unsigned_manifest_text".to_owned(), collection.manifest.as_str().into());
        }
        select.apply(members)
    }

    /// Returns a collection that was found by its hash: nothing that tells where it is from.
    pub async fn content_json(&self, asking: &Asking, collection: &Collection, select: &Select) -> Value {
        let hash = &collection.portable_data_hash;
        let mut members = object(json!({
            "kind": Collection::TABLE.kind,
            "uuid": hash,
            "portable_data_hash": hash,
            "trash_at": time(collection.base.trash_at),
        }));
        if select.wants("manifest_text") {
            members.insert("manifest_text".to_owned(), self.signed(asking, collection).await.into());
        }
        if select.names("unsigned_manifest_text") {
            members.insert("unsigned_manifest_text".to_owned(), collection.manifest.as_str().into());
        }
        select.apply(members)
    }

    /// Returns a user.
    pub fn user_json(&self, user: &User) -> Map<String, Value> {
        object(json!({
            "kind": "arvados#user",
            "uuid": self.uuid_of(user),
            "owner_uuid": self.system_user(),
            "username": user.name,
            "full_name": user.name,
            "first_name": user.name,
            "last_name": "",
            "email": null,
            "is_admin": Self::is_admin(user),
            "is_active": true,
            "is_invited": true,
            "prefs": {},
        }))
    }

    /// Returns the token that the caller shows.
    pub fn token_json(&self, asking: &Asking) -> Map<String, Value> {
        let token = &asking.holder.owner.token;
        let seconds = |seconds: u64| time(i64::try_from(seconds).ok().and_then(|s| s.checked_mul(1_000_000)));
        let shown = String::from_utf8_lossy(&asking.holder.token);
        object(json!({
            "kind": "arvados#apiClientAuthorization",
            "uuid": token.id,
            "owner_uuid": asking.viewer.user,
            "api_token": shown.rsplit('/').next(),
            "scopes": ["all"],
            "created_at": seconds(token.created),
            "expires_at": token.expires.map_or(Value::Null, seconds),
        }))
    }

    /// Returns the UUID of the system user, who owns what no user owns.
    fn system_user(&self) -> String {
        format!("{}-tpzed-000000000000000", self.cluster())
    }
}

fn base<R: Record>(base: &Base, now: i64) -> Map<String, Value> {
    object(json!({
        "kind": R::TABLE.kind,
        "uuid": base.uuid,
        "etag": format!("{:x}", base.modified_at),
        "owner_uuid": base.owner,
        "name": base.name.as_deref().unwrap_or_default(),
        "description": base.description,
        "properties": parsed(&base.properties),
        "created_at": time(Some(base.created_at)),
        "modified_at": time(Some(base.modified_at)),
        "modified_by_user_uuid": base.modified_by,
        "trash_at": time(base.trash_at),
        "delete_at": time(base.delete_at),
        "is_trashed": base.is_trashed(now),
    }))
}

fn time(micros: Option<i64>) -> Value {
    micros.and_then(ApiTime::from_micros).map_or(Value::Null, |time| time.to_string().into())
}

fn parsed(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_default()
}

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(members) => members,
        _ => Map::new(),
    }
}
