//! Comments that name a page of the documentation name one that exists, and documents link to what exists.
//!
//! The form is told in CONTRIBUTING.md: a page by its path from the root of the repository in backticks, then its sections, as in
//! "`docs/spec/p2p-protocol.md` §5.1 and §6".

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may fail loudly, in its helpers too")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// Folders that hold Rust sources.
const RUST: &[&str] = &["src", "protocol", "keep", "gateway", "tests", "benches"];

/// Folders that hold documents, besides the root.
const DOCUMENTS: &[&str] = &["docs", "contrib", "protocol", "keep", "gateway", "t"];

/// Where the pages are that sources follow.
const PAGES: &str = "docs/spec/";

#[test]
fn comments_name_pages_and_sections_that_exist() {
    let mut sections = BTreeMap::new();
    let mut wrong = Vec::new();
    for (place, comment) in comments() {
        for mention in mentions(&comment) {
            let path = root().join(&mention.page);
            if !path.is_file() {
                wrong.push(format!("{place}: there is no page {}", mention.page));
                continue;
            }
            let known = sections.entry(path.clone()).or_insert_with(|| numbers(&fs::read_to_string(&path).unwrap()));
            for section in mention.sections.iter().filter(|section| !known.contains(*section)) {
                wrong.push(format!("{place}: {} has no section {section}", mention.page));
            }
        }
    }
    assert!(wrong.is_empty(), "CONTRIBUTING.md tells how a comment names a page:\n{}", wrong.join("\n"));
}

#[test]
fn every_page_of_a_specification_is_the_source_of_something() {
    let named: BTreeSet<String> =
        comments().iter().flat_map(|(_, comment)| mentions(comment)).map(|mention| mention.page).collect();
    let idle: Vec<String> = files(PAGES, "md")
        .iter()
        .map(|path| relative(path))
        .filter(|page| !page.ends_with("/README.md") && !named.contains(page))
        .collect();
    assert!(idle.is_empty(), "no source names these pages: {}", idle.join(", "));
}

#[test]
fn links_of_documents_lead_to_files() {
    let mut wrong = Vec::new();
    let inside = DOCUMENTS.iter().flat_map(|folder| files(folder, "md"));
    let outside = fs::read_dir(root()).unwrap().map(|entry| entry.unwrap().path()).filter(|path| has_end(path, "md"));
    for path in inside.chain(outside) {
        let text = fs::read_to_string(&path).unwrap();
        for target in text.split("](").skip(1).filter_map(|rest| rest.split([')', '#']).next()) {
            let here = !target.is_empty() && !target.contains("://") && !target.starts_with("mailto:");
            if here && !path.parent().unwrap().join(target).exists() {
                wrong.push(format!("{}: {target}", relative(&path)));
            }
        }
    }
    assert!(wrong.is_empty(), "these links lead nowhere:\n{}", wrong.join("\n"));
}

#[test]
fn a_mention_is_read_as_people_write_it() {
    let found =
        mentions("Source: `docs/spec/a.md` §2, §3.1 and §4; `docs/spec/b.md`; vectors `c.json`, see `b.rs` §9.");
    let plain: Vec<_> = found.iter().map(|found| (found.page.as_str(), found.sections.join(" "))).collect();
    assert_eq!(plain, [("docs/spec/a.md", "2 3.1 4".to_owned()), ("docs/spec/b.md", String::new())]);
    assert_eq!(numbers("# T\n## 1. One\ntext\n### 1.2 Two\n## Other\n"), ["1", "1.2"].map(str::to_owned).into());
}

/// A page that a comment names, and the sections of it.
struct Mention {
    page: String,
    sections: Vec<String>,
}

/// Finds names of pages in backticks. The sections of a page stand before the next name in backticks.
fn mentions(comment: &str) -> Vec<Mention> {
    let parts: Vec<&str> = comment.split('`').collect();
    let mut found = Vec::new();
    for (position, name) in parts.iter().enumerate().skip(1).step_by(2) {
        if name.ends_with(".md") && !name.contains([' ', '*']) {
            let behind = parts.get(position + 1).copied().unwrap_or_default();
            let number = |text: &str| {
                let end = text.find(|letter: char| !letter.is_ascii_digit() && letter != '.').unwrap_or(text.len());
                text[..end].trim_end_matches('.').to_owned()
            };
            let sections = behind.split('§').skip(1).map(number).collect();
            found.push(Mention { page: (*name).to_owned(), sections });
        }
    }
    found
}

/// Returns the numbers of a page's headings: `## 3. Title` and `### 3.1 Title`.
fn numbers(page: &str) -> BTreeSet<String> {
    let headings = page.lines().filter(|line| line.starts_with("##")).filter_map(|line| line.split(' ').nth(1));
    headings
        .map(|number| number.trim_end_matches('.').to_owned())
        .filter(|number| number.starts_with(|letter: char| letter.is_ascii_digit()))
        .collect()
}

/// Returns the comments of all sources, with the file and line where each begins. Lines that follow each other are one.
fn comments() -> Vec<(String, String)> {
    let mut found = Vec::new();
    for path in RUST.iter().flat_map(|folder| files(folder, "rs")) {
        let text = fs::read_to_string(&path).unwrap();
        let mut open: Option<(String, String)> = None;
        for (number, line) in text.lines().enumerate() {
            let said = line.trim_start().strip_prefix("//").map(|said| said.trim_start_matches(['/', '!']).trim());
            match said.filter(|said| !said.is_empty()) {
                Some(said) => {
                    let (_, comment) =
                        open.get_or_insert_with(|| (format!("{}:{}", relative(&path), number + 1), String::new()));
                    comment.push(' ');
                    comment.push_str(said);
                }
                None => found.extend(open.take()),
            }
        }
        found.extend(open);
    }
    found
}

/// Returns the files below a folder whose names have this end; none if there is no such folder.
fn files(folder: &str, end: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![root().join(folder)];
    while let Some(folder) = folders.pop() {
        let Ok(entries) = fs::read_dir(&folder) else { continue };
        for entry in entries {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap_or_default();
            if path.is_dir() && name != "target" && name != "corpus" {
                folders.push(path);
            } else if has_end(&path, end) {
                found.push(path);
            }
        }
    }
    found
}

fn has_end(path: &Path, end: &str) -> bool {
    path.extension().is_some_and(|found| found == end)
}

fn relative(path: &Path) -> String {
    path.strip_prefix(root()).unwrap_or(path).display().to_string()
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}
