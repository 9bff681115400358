//! Who may import whom: the house rules of ARCHITECTURE.md, checked on the source text.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may fail loudly, in its helpers too")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Each module of the program, and the modules it may use besides itself. Lines use lines below them, never above.
/// A file (and its folder) has its own line where it may more than its module.
const MAY_USE: &[(&str, &[&str])] = &[
    ("main", EVERYTHING),
    ("cli", EVERYTHING),
    ("assemble", EVERYTHING),
    ("serve/hook", &["annex", "git", "error"]),
    ("serve/keep", &["keep", "store", "site", "stream", "task", "clock", "error"]),
    ("serve", &["catalogue", "database", "repo", "gateway", "node", "site", "stream", "git", "task", "clock", "error"]),
    ("repo", &["gateway", "annex", "git", "site", "clock"]),
    ("gateway", &["node", "annex", "site", "stream", "task", "clock"]),
    ("remote", &["keep", "stream"]),
    ("node/keep", &["keep", "stream"]),
    ("node/arvados", &["keep", "stream"]),
    ("node/annex", &["annex", "git", "disk", "stream", "clock"]),
    ("node/s3", &["s3", "stream"]),
    ("node", &["disk", "stream", "task"]),
    ("keep", &["index", "store", "disk", "stream", "task"]),
    ("annex", &["git", "disk", "clock"]),
    ("git", &["stream"]),
    ("index", &["store", "stream", "task"]),
    ("store/s3", &["disk", "s3", "stream", "task"]),
    ("store", &["disk", "stream", "s3", "task"]),
    ("disk", &["stream"]),
    ("s3", &["task"]),
    ("site", &["disk", "clock", "error"]),
    ("catalogue", &["database"]),
    ("database", &["task"]),
    ("stream", &[]),
    ("task", &[]),
    ("clock", &[]),
    ("error", &[]),
];
const EVERYTHING: &[&str] = &["*"];

/// Modules that are ports. Each file in the folder of the same name is an adapter, and adapters never know each other.
const PORTS: &[&str] = &["node", "store", "index", "database"];

/// What `protocol` may depend on: hashes, encodings, parsers. Nothing that does I/O, no runtime, no clock.
const PURE: &[&str] = &[
    "base64",
    "blake2b_simd",
    "blake2s_simd",
    "blake3",
    "hmac",
    "md-5",
    "nom",
    "sha1",
    "sha2",
    "sha3",
    "skein",
    "thiserror",
    "twox-hash",
];

/// Parts of the standard library that touch the world.
const IMPURE_STD: &[&str] = &["env", "fs", "net", "os", "process", "thread"];

#[test]
fn modules_use_only_the_layers_below_them() {
    let mut broken = Vec::new();
    for file in Source::all("src") {
        let place = format!("{}/", file.module.join("/"));
        let own = |(module, _): &&(&str, _)| place.starts_with(&format!("{module}/"));
        let allowed = MAY_USE.iter().find(own).map_or(&[][..], |(_, uses)| uses);
        for path in file.paths() {
            let target = path[0].as_str();
            let known = MAY_USE.iter().any(|(module, _)| *module == target);
            if known && target != file.module[0] && allowed != EVERYTHING && !allowed.contains(&target) {
                broken.push(format!("{}: may not use crate::{}", file.name, path.join("::")));
            }
        }
    }
    assert!(broken.is_empty(), "ARCHITECTURE.md says who may import whom:\n{}", broken.join("\n"));
}

#[test]
fn every_module_is_in_the_table_and_every_line_of_the_table_is_a_module() {
    let files = Source::all("src");
    let modules: BTreeSet<&str> =
        files.iter().map(|file| file.module[0].as_str()).filter(|name| *name != "lib").collect();
    let listed: BTreeSet<&str> = MAY_USE.iter().map(|(module, _)| *module).filter(|name| !name.contains('/')).collect();
    assert_eq!(modules, listed);
    for (line, _) in MAY_USE {
        assert!(files.iter().any(|file| file.module.join("/") == *line), "no file is {line}");
    }
}

#[test]
fn adapters_of_a_port_never_know_each_other() {
    let mut broken = Vec::new();
    for port in PORTS {
        let adapters: BTreeSet<String> =
            Source::all(&format!("src/{port}")).iter().map(|f| f.module[1].clone()).collect();
        for file in Source::all(&format!("src/{port}")) {
            for path in file.paths() {
                let other = path.get(1).filter(|name| adapters.contains(*name) && **name != file.module[1]);
                if path[0] == *port && other.is_some() {
                    broken.push(format!("{}: may not use {}", file.name, path.join("::")));
                }
            }
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

#[test]
fn protocol_depends_on_nothing_that_does_io() {
    let manifest = fs::read_to_string(root().join("protocol/Cargo.toml")).unwrap();
    let manifest: toml::Table = manifest.parse().unwrap();
    for name in manifest["dependencies"].as_table().unwrap().keys() {
        assert!(PURE.contains(&name.as_str()), "protocol uses {name}: pure? then add it to PURE in tests/layers.rs");
    }
    assert!(!manifest.contains_key("target"), "protocol is the same on every target");
}

#[test]
fn protocol_reads_no_file_socket_or_environment() {
    for file in Source::all("protocol/src") {
        for part in IMPURE_STD {
            assert!(!file.code.contains(&format!("std::{part}")), "{}: uses std::{part}", file.name);
        }
        for clock in ["SystemTime::now", "Instant::now"] {
            assert!(!file.code.contains(clock), "{}: reads the clock", file.name);
        }
    }
}

#[test]
fn paths_are_found_however_they_are_written() {
    let file = Source {
        name: "src/a/b.rs".to_owned(),
        module: vec!["a".to_owned(), "b".to_owned()],
        code: "use crate::{one::{x, y}, two as z, three};\ncrate::four::f(); use super::sibling;\n\
               use super::super::five::{self, g}; mycrate::no; pub(in crate::six) fn f(); crate::seven"
            .to_owned(),
    };
    let found: Vec<String> = file.paths().iter().map(|path| path.join("::")).collect();
    assert_eq!(
        found,
        ["one::x", "one::y", "two", "three", "four::f", "a::sibling", "five::self", "five::g", "six", "seven"]
    );
}

/// One source file: its module path, and its text without comments.
struct Source {
    name: String,
    module: Vec<String>,
    code: String,
}

impl Source {
    /// Reads all Rust files under a folder of the project.
    fn all(folder: &str) -> Vec<Self> {
        let mut found = Vec::new();
        let mut folders = vec![PathBuf::from(folder)];
        while let Some(folder) = folders.pop() {
            let Ok(entries) = fs::read_dir(root().join(&folder)) else { continue };
            for entry in entries {
                let path = folder.join(entry.unwrap().file_name());
                if root().join(&path).is_dir() {
                    folders.push(path);
                } else if path.extension().is_some_and(|extension| extension == "rs") {
                    found.push(Self::read(&path));
                }
            }
        }
        found
    }

    fn read(path: &Path) -> Self {
        let text = fs::read_to_string(root().join(path)).unwrap();
        let code = text.lines().map(|line| line.split("//").next().unwrap()).collect::<Vec<_>>().join("\n");
        let inner = path.with_extension("");
        let parts = inner.components().map(|part| part.as_os_str().to_str().unwrap().to_owned());
        let module = parts.skip_while(|part| part != "src").skip(1).collect();
        Self { name: path.display().to_string(), module, code }
    }

    /// Returns every path of the crate that the file names, from the crate's root, its first two segments at least.
    fn paths(&self) -> Vec<Vec<String>> {
        let mut found = Vec::new();
        for (at, word) in words(&self.code) {
            let before = self.code[..at].trim_end();
            let rest = &self.code[at + word.len()..];
            if before.ends_with("::") || before.ends_with('$') {
                continue;
            }
            match word {
                "crate" => tree(&[], rest, &mut found),
                "super" => {
                    let ups = 1 + rest.split("::").skip(1).take_while(|part| *part == "super").count();
                    let base = &self.module[..self.module.len().saturating_sub(ups)];
                    tree(base, &rest["::super".len() * (ups - 1)..], &mut found);
                }
                _ => {}
            }
        }
        found
    }
}

/// Reads what follows a path's segment: `::name…`, `::{…}`, or the path's end.
fn tree(base: &[String], rest: &str, found: &mut Vec<Vec<String>>) {
    let Some(rest) = rest.strip_prefix("::") else {
        if !base.is_empty() {
            found.push(base.to_vec());
        }
        return;
    };
    if let Some(group) = rest.strip_prefix('{') {
        for part in split_group(group) {
            tree(base, &format!("::{}", part.trim()), found);
        }
    } else if let Some((0, word)) = words(rest).first() {
        tree(&[base, &[(*word).to_owned()]].concat(), &rest[word.len()..], found);
    } else if !base.is_empty() {
        found.push(base.to_vec());
    }
}

/// Splits the inside of a brace group, up to its closing brace, at its own commas.
fn split_group(group: &str) -> Vec<&str> {
    let (mut depth, mut start, mut parts) = (0, 0, Vec::new());
    for (at, letter) in group.char_indices() {
        match letter {
            '{' => depth += 1,
            '}' if depth > 0 => depth -= 1,
            ',' | '}' if depth == 0 => {
                parts.push(&group[start..at]);
                start = at + 1;
                if letter == '}' {
                    break;
                }
            }
            _ => {}
        }
    }
    parts.retain(|part| !part.trim().is_empty());
    parts
}

/// Finds the words of a text and where they start.
fn words(text: &str) -> Vec<(usize, &str)> {
    let mut found = Vec::new();
    let mut start = None;
    for (at, letter) in text.char_indices().chain([(text.len(), ' ')]) {
        match (start, letter.is_alphanumeric() || letter == '_') {
            (None, true) => start = Some(at),
            (Some(from), false) => {
                found.push((from, &text[from..at]));
                start = None;
            }
            _ => {}
        }
    }
    found
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}
