//! All files of the four crates, and which file each path leads to.

use std::collections::{BTreeMap, BTreeSet};

use crate::source::Source;

/// The crates: their sources, and their names in code.
pub(crate) const CRATES: &[(&str, &str)] = &[
    ("protocol/src", "annex_protocol"),
    ("keep/src", "keep_store"),
    ("gateway/src", "annex_gateway"),
    ("src", "annex_keep"),
];

/// Re-exports are followed this far; none is so deep.
const DEEPEST: usize = 16;

/// The whole house.
pub(crate) struct House {
    pub(crate) files: Vec<Source>,
    places: BTreeMap<Vec<String>, usize>,
}

impl House {
    pub(crate) fn read() -> Self {
        Self::of(CRATES.iter().flat_map(|(folder, krate)| Source::all(folder, krate)).collect())
    }

    pub(crate) fn of(files: Vec<Source>) -> Self {
        let places = files.iter().enumerate().map(|(at, file)| (file.module.clone(), at)).collect();
        Self { files, places }
    }

    /// Returns the files that a file takes names from, and a path that says so for each.
    pub(crate) fn uses<'a>(&'a self, file: &'a Source) -> BTreeMap<&'a str, (&'a Source, String)> {
        let found = file.paths.iter().filter_map(|path| Some((self.home(file, path)?, path.join("::"))));
        let others = found.filter(|(target, _)| target.name != file.name);
        others.map(|(target, path)| (target.name.as_str(), (target, path))).collect()
    }

    /// Returns the file that a path leads to, through re-exports; `None` when that is no file of ours.
    pub(crate) fn home(&self, file: &Source, path: &[String]) -> Option<&Source> {
        self.follow(&self.full(file, path)?, DEEPEST)
    }

    /// Writes a path from its crate's name on. Names that the file brought in are replaced by where they come from.
    pub(crate) fn full(&self, file: &Source, path: &[String]) -> Option<Vec<String>> {
        let (first, rest) = path.split_first()?;
        let below = |base: &[String], rest: &[String]| Some([base, rest].concat());
        match first.as_str() {
            "crate" => below(&file.module[..1], rest),
            "self" => below(&file.module, rest),
            "super" => {
                let ups = path.iter().take_while(|part| *part == "super").count();
                below(&file.module[..file.module.len() - ups], &path[ups..])
            }
            _ if file.children.contains(first) => below(&file.module, path),
            _ => match file.names.get(first) {
                Some(from) if from.first() != Some(first) => below(&self.full(file, from)?, rest),
                _ => below(&[], path),
            },
        }
    }

    /// Tells what ties the files of a circle to each other.
    pub(crate) fn ties(&self, circle: &BTreeSet<&str>) -> Vec<String> {
        let files = self.files.iter().filter(|file| circle.contains(file.name.as_str()));
        let ties = files.flat_map(|file| self.uses(file).into_values().map(move |(target, path)| (file, target, path)));
        let inside = ties.filter(|(_, target, _)| circle.contains(target.name.as_str()));
        inside.map(|(file, target, path)| format!("  {} -> {}: {path}", file.name, target.name)).collect()
    }

    fn follow(&self, full: &[String], deepest: usize) -> Option<&Source> {
        let known = (1..=full.len()).rev().find_map(|end| Some((end, *self.places.get(&full[..end])?)));
        let (end, at) = known?;
        let file = &self.files[at];
        let Some(from) = full.get(end).and_then(|name| file.names.get(name)).filter(|_| deepest > 0) else {
            return Some(file);
        };
        let through = [&self.full(file, from)?, &full[end + 1..]].concat();
        // A module and another crate's function may have one name.
        self.follow(&through, deepest - 1).or(Some(file))
    }

    /// Returns the circles of files: each a set of files in which every one leads to every other.
    ///
    /// A module declares those in its folder, and may use them. They may use it as well, without a circle: a module is
    /// its file and its folder, and types of the module stand in its file. So what a file takes from the modules around
    /// it does not count. All else does, through re-exports: a file that takes from the module around it what another
    /// file of the folder defines leads to that other file.
    pub(crate) fn circles(&self) -> Vec<BTreeSet<&str>> {
        let next: BTreeMap<&str, Vec<&str>> = self
            .files
            .iter()
            .map(|file| {
                let counted =
                    self.uses(file).into_values().filter(|(target, _)| !file.module.starts_with(&target.module));
                (file.name.as_str(), counted.map(|(target, _)| target.name.as_str()).collect())
            })
            .collect();
        let reached: BTreeMap<&str, BTreeSet<&str>> = next.keys().map(|name| (*name, reach(name, &next))).collect();
        let circle = |name: &&'_ str| -> BTreeSet<&str> {
            reached[*name].iter().filter(|other| reached[**other].contains(*name)).copied().collect()
        };
        let circles: BTreeSet<BTreeSet<&str>> = reached.keys().map(circle).filter(|c| !c.is_empty()).collect();
        circles.into_iter().collect()
    }
}

/// Returns the files that one leads to, itself only by a way round.
fn reach<'a>(from: &str, next: &BTreeMap<&'a str, Vec<&'a str>>) -> BTreeSet<&'a str> {
    let mut reached = BTreeSet::new();
    let mut waiting = next[from].clone();
    while let Some(name) = waiting.pop() {
        if reached.insert(name) {
            waiting.extend(&next[name]);
        }
    }
    reached
}
