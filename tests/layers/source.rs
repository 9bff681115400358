//! One source file: the paths that it names, read from its tokens, so that comments and strings do not count.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use proc_macro2::{Delimiter, TokenStream, TokenTree};

/// What a file says about other files. Its tests are left out: they may know more than the code.
#[derive(Debug, Default)]
pub(crate) struct Source {
    /// Its file, from the root of the project.
    pub(crate) name: String,
    /// Its module, from the crate's name on: `["keep_store", "store", "dir"]`.
    pub(crate) module: Vec<String>,
    /// The modules that it declares.
    pub(crate) children: BTreeSet<String>,
    /// What its `use` declarations bring in: the name here, and the path as it is written.
    pub(crate) names: BTreeMap<String, Vec<String>>,
    /// The paths that it names, as they are written, those of its `use` declarations among them.
    pub(crate) paths: Vec<Vec<String>>,
    /// The paths that it re-exports, as they are written.
    pub(crate) exports: Vec<Vec<String>>,
}

impl Source {
    /// Reads the files of a crate, without those that are tests.
    pub(crate) fn all(folder: &str, krate: &str) -> Vec<Self> {
        let mut found = Vec::new();
        let mut folders = vec![PathBuf::from(folder)];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(root().join(&folder)).unwrap() {
                let path = folder.join(entry.unwrap().file_name());
                if root().join(&path).is_dir() {
                    folders.push(path);
                } else if path.extension().is_some_and(|extension| extension == "rs") {
                    found.push(path);
                }
            }
        }
        found.sort();
        let module = |path: &Path| {
            let inner = path.strip_prefix(folder).unwrap().with_extension("");
            let parts = inner.iter().map(|part| part.to_str().unwrap().to_owned()).filter(|part| part != "lib");
            [krate.to_owned()].into_iter().chain(parts).collect::<Vec<_>>()
        };
        let read = |path: &PathBuf| {
            let text = fs::read_to_string(root().join(path)).unwrap();
            Self::of(&path.display().to_string(), module(path), &text)
        };
        found.iter().map(read).filter(|file| !file.module.iter().any(|part| part == "tests")).collect()
    }

    /// Reads a file's text.
    pub(crate) fn of(name: &str, module: Vec<String>, text: &str) -> Self {
        let mut source = Self { name: name.to_owned(), module, ..Self::default() };
        source.read(&text.parse::<TokenStream>().unwrap().into_iter().collect::<Vec<_>>());
        source
    }

    fn read(&mut self, tokens: &[TokenTree]) {
        let mut at = 0;
        while at < tokens.len() {
            let rest = &tokens[at..];
            match &tokens[at] {
                TokenTree::Group(group) if at > 0 && is_punct(&tokens[at - 1], '#') && is_test(group) => {
                    at += item(rest);
                    continue;
                }
                TokenTree::Group(group) => self.read(&group.stream().into_iter().collect::<Vec<_>>()),
                TokenTree::Ident(word) if word == "use" && !rest.get(1).is_some_and(|next| is_punct(next, '<')) => {
                    let end = rest.iter().position(|token| is_punct(token, ';')).unwrap_or(rest.len());
                    self.bring_in(&rest[1..end], &[], is_public(&tokens[..at]));
                    at += end;
                }
                TokenTree::Ident(word) if word == "mod" && rest.get(2).is_some_and(|next| is_punct(next, ';')) => {
                    self.children.insert(rest[1].to_string());
                }
                TokenTree::Ident(_) if !is_separator(tokens, at.wrapping_sub(2)) => {
                    let path = path(rest);
                    at += 3 * (path.len() - 1);
                    if path.len() > 1 {
                        self.paths.push(path);
                    }
                }
                _ => {}
            }
            at += 1;
        }
    }

    /// Reads a `use` tree: `a::b`, `a as b`, `a::*`, `a::{…}`.
    fn bring_in(&mut self, tree: &[TokenTree], base: &[String], public: bool) {
        let mut full = base.to_vec();
        let mut at = 0;
        loop {
            match tree.get(at) {
                Some(TokenTree::Group(group)) if group.delimiter() == Delimiter::Brace => {
                    let inside: Vec<TokenTree> = group.stream().into_iter().collect();
                    for part in inside.split(|token| is_punct(token, ',')).filter(|part| !part.is_empty()) {
                        self.bring_in(part, &full, public);
                    }
                    return;
                }
                Some(TokenTree::Ident(word)) if word == "self" && !full.is_empty() => {}
                Some(TokenTree::Ident(word)) => full.push(word.to_string()),
                _ => break,
            }
            at += 1;
            if !is_separator(tree, at) {
                break;
            }
            at += 2;
        }
        let renamed = tree.get(at).is_some_and(|token| token.to_string() == "as");
        let name = if renamed { tree.get(at + 1).map(ToString::to_string) } else { full.last().cloned() };
        self.names.extend(name.map(|name| (name, full.clone())));
        if public {
            self.exports.push(full.clone());
        }
        self.paths.push(full);
    }
}

/// Returns the words of a path: `a::b::c` as far as names go.
fn path(tokens: &[TokenTree]) -> Vec<String> {
    let mut found = vec![tokens[0].to_string()];
    let mut at = 1;
    while is_separator(tokens, at) {
        let Some(TokenTree::Ident(word)) = tokens.get(at + 2) else { break };
        found.push(word.to_string());
        at += 3;
    }
    found
}

/// Returns how many tokens an attribute and the item behind it have: up to its braces, or its semicolon.
fn item(tokens: &[TokenTree]) -> usize {
    let end = |token: &TokenTree| match token {
        TokenTree::Group(group) => group.delimiter() == Delimiter::Brace,
        other => is_punct(other, ';'),
    };
    tokens.iter().position(end).map_or(tokens.len(), |at| at + 1)
}

/// Tells whether an attribute is `cfg(test)`.
fn is_test(attribute: &proc_macro2::Group) -> bool {
    attribute.delimiter() == Delimiter::Bracket && attribute.stream().to_string().replace(' ', "") == "cfg(test)"
}

/// Tells whether `pub`, or `pub(…)`, ends here.
fn is_public(before: &[TokenTree]) -> bool {
    let word = match before {
        [.., word, TokenTree::Group(scope)] if scope.delimiter() == Delimiter::Parenthesis => word,
        [.., word] => word,
        [] => return false,
    };
    word.to_string() == "pub"
}

fn is_separator(tokens: &[TokenTree], at: usize) -> bool {
    [at, at.wrapping_add(1)].iter().all(|at| tokens.get(*at).is_some_and(|token| is_punct(token, ':')))
}

fn is_punct(token: &TokenTree, letter: char) -> bool {
    matches!(token, TokenTree::Punct(punct) if punct.as_char() == letter)
}

/// The root of the project.
pub(crate) fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}
