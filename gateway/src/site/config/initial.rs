//! The configuration of a new site.

use super::check_node_name;
use crate::node::NodeSpec;
use crate::site::SiteError;

/// Returns the text of a new site's configuration, with every setting explained in place.
pub(in crate::site) fn initial(nodes: &[(String, String)]) -> Result<String, SiteError> {
    let mut text = String::from(include_str!("initial.toml"));
    for (position, (name, spec)) in nodes.iter().enumerate() {
        check_node_name(name).map_err(SiteError::Invalid)?;
        if nodes.iter().take(position).any(|(earlier, _)| earlier == name) {
            return Err(SiteError::Invalid(format!("node {name} is named twice")));
        }
        let spec = NodeSpec::parse(spec).map_err(SiteError::Invalid)?;
        let store = toml::Value::String(spec.to_string());
        text.push_str(&format!("\n[nodes.{name}]\nid = \"{}\"\nstore = {store}\n", uuid::Uuid::new_v4()));
    }
    Ok(text)
}
