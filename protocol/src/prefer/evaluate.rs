//! From structure to an answer. Source: `docs/spec/preferred-content.md` §3 to §8.

use std::cell::{Cell, OnceCell};
use std::collections::BTreeSet;

use super::balance::Balance;
use super::expression::{Expression, Fold, Join, Operand};
use super::placement::{Placement, Question};
use super::standard::standard_expression;
use super::term::{Balanced, BalancedCopies, CopiesIn, Test};
use crate::hash::is_secure;
use crate::log::{Metadata, Trust};
use crate::uuid::Uuid;

/// Answers one question.
struct Evaluator<'a> {
    placement: &'a Placement,
    question: &'a Question<'a>,
    file: Option<&'a [u8]>,
    /// The repository to be counted as if it had lost the key.
    absent: Option<&'a Uuid>,
    logged: BTreeSet<Uuid>,
    metadata: OnceCell<Metadata>,
    /// The answer is to be yes if it is yes for some file name: terms that depend on the name say whatever leads there.
    any_name: bool,
    /// The term at hand stands under an odd number of `not`s.
    negated: Cell<bool>,
}

/// Whose expression a term stands in: this decides what `standard` and `groupwanted` mean there.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Scope {
    /// The repository's own: both have their meaning.
    Own,
    /// A group's: `groupwanted` has none.
    Group,
    /// A standard group's: neither has one.
    Standard,
}

impl Placement {
    /// Tells whether the repository wants to have the key; `None` if nothing is configured for it.
    ///
    /// For choosing where to store a key, a repository without configuration wants everything.
    pub fn wants(&self, question: &Question<'_>) -> Option<bool> {
        Evaluator::new(self, question, None).preferred_or_required()
    }

    /// Tells whether the repository would still want the key if it were the one that lost it; `None` if nothing is
    /// configured for it (`git annex drop --auto` takes that for "no", `git annex sync --content` for "yes").
    pub fn wants_to_keep(&self, question: &Question<'_>) -> Option<bool> {
        Evaluator::new(self, question, Some(question.repository)).preferred_or_required()
    }

    /// Tells whether the repository might still want the key, under whatever file names, if it were the one that lost it.
    ///
    /// No means that it is not wanted under any name; the question's own is not looked at. A repository without
    /// configuration wants everything.
    pub fn might_want_to_keep(&self, question: &Question<'_>) -> bool {
        let evaluator = Evaluator::new(self, question, Some(question.repository)).with_any_name();
        evaluator.preferred_or_required().unwrap_or(true)
    }

    /// Tells whether the key is required content of the repository: it must not be dropped from there.
    pub fn requires(&self, question: &Question<'_>) -> bool {
        Evaluator::new(self, question, Some(question.repository)).required()
    }
}

impl<'a> Evaluator<'a> {
    fn new(placement: &'a Placement, question: &'a Question<'a>, absent: Option<&'a Uuid>) -> Self {
        let mut file = question.file;
        while let Some(rest) = file.and_then(|file| file.strip_prefix(b"./")) {
            file = Some(rest);
        }
        let file = file.filter(|file| !file.is_empty());
        let (logged, metadata) = (question.facts.locations(), OnceCell::new());
        Self { placement, question, file, absent, logged, metadata, any_name: false, negated: Cell::new(false) }
    }

    /// Evaluates for all file names at once, and for unused keys: yes if one of them makes it so, and perhaps without.
    fn with_any_name(self) -> Self {
        Self { any_name: true, ..self }
    }

    fn preferred_or_required(&self) -> Option<bool> {
        let preferred = configured(self.placement.preferred.get(self.question.repository));
        let required = configured(self.placement.required.get(self.question.repository));
        let both = [preferred, required];
        let mut expressions = both.iter().flatten().copied().peekable();
        expressions.peek()?;
        if expressions.clone().any(|expression| expression.error().is_some()) {
            return Some(self.present());
        }
        if expressions.clone().any(|expression| self.is_unstable(expression, Scope::Own, false)) {
            return Some(false);
        }
        Some(expressions.any(|expression| self.expression(expression, Scope::Own)))
    }

    fn required(&self) -> bool {
        configured(self.placement.required.get(self.question.repository)).is_some_and(|required| {
            !self.is_unstable(required, Scope::Own, false) && self.expression(required, Scope::Own)
        })
    }

    fn expression(&self, expression: &Expression, scope: Scope) -> bool {
        expression.fold().map_or_else(|| self.present(), |fold| self.fold(fold, scope))
    }

    fn fold(&self, fold: &Fold, scope: Scope) -> bool {
        fold.0.iter().fold(true, |matched, (join, operand)| match join {
            Join::And => matched && self.operand(operand, scope),
            Join::Or => matched || self.operand(operand, scope),
        })
    }

    fn operand(&self, operand: &Operand, scope: Scope) -> bool {
        match operand {
            Operand::All => true,
            Operand::Term(term) => self.test(&term.test, scope),
            Operand::Not(operand) => {
                self.negated.set(!self.negated.get());
                let matched = self.operand(operand, scope);
                self.negated.set(!self.negated.get());
                !matched
            }
            Operand::Group(fold) => self.fold(fold, scope),
        }
    }

    fn test(&self, test: &Test, scope: Scope) -> bool {
        match test {
            Test::Include(_) | Test::Exclude(_) | Test::InPreferredDir | Test::Unused if self.any_name => {
                !self.negated.get()
            }
            Test::Anything => true,
            Test::Nothing | Test::Unused => false,
            Test::Present => self.present(),
            Test::InPreferredDir => self.in_preferred_dir(),
            Test::SecureHash => self.secure_hash(),
            Test::Standard | Test::GroupWanted => match self.named(test, scope) {
                Some((expression, scope)) => self.expression(expression, scope),
                None => self.present(),
            },
            Test::Include(glob) => self.file.is_some_and(|file| glob.matches(file)),
            Test::Exclude(glob) => self.file.is_none_or(|file| !glob.matches(file)),
            // An unknown size is smaller than any.
            Test::LargerThan(size) => self.size().is_some_and(|own| own > *size),
            Test::SmallerThan(size) => self.size().is_none_or(|own| own < *size),
            Test::Copies(place, number) => self.copies(place) >= *number,
            Test::LackingCopies(number) => self.lacking() >= *number,
            Test::InBackend(backend) => self.question.key.backend() == backend.as_slice(),
            Test::InAllGroup(group) => self.placement.members(group).iter().all(|member| self.has(member)),
            Test::OnlyInGroup(group) => {
                let members = self.placement.members(group);
                let holders: Vec<&Uuid> = self.holders().collect();
                !holders.is_empty() && holders.into_iter().all(|holder| members.contains(holder))
            }
            Test::Metadata(field, test) => {
                let metadata = self.metadata.get_or_init(|| self.question.facts.metadata());
                metadata.values(field).any(|value| test.passes(value))
            }
            Test::Url(glob) => self.question.facts.urls().iter().any(|url| glob.matches(url)),
            Test::Balanced(balanced) => self.balanced(balanced),
        }
    }

    /// By the location log; never as if the key were lost, and a dead repository has nothing.
    fn present(&self) -> bool {
        self.logged.contains(self.question.repository) && self.is_alive(self.question.repository)
    }

    fn is_alive(&self, repository: &Uuid) -> bool {
        self.placement.trust(repository) != Trust::Dead
    }

    fn has(&self, repository: &Uuid) -> bool {
        self.logged.contains(repository) && self.is_alive(repository) && self.absent != Some(repository)
    }

    /// Returns who has the key, clusters included.
    fn holders(&self) -> impl Iterator<Item = &Uuid> {
        self.logged.iter().filter(|repository| self.has(repository))
    }

    fn copies(&self, place: &CopiesIn) -> i64 {
        self.count(|repository| self.is_in(repository, place))
    }

    fn is_in(&self, repository: &Uuid, place: &CopiesIn) -> bool {
        match place {
            CopiesIn::Anywhere => true,
            CopiesIn::Level(level) => self.placement.trust(repository) == *level,
            CopiesIn::AtLeast(level) => self.placement.trust(repository) >= *level,
            CopiesIn::Group(group) => {
                self.placement.groups.get(repository).is_some_and(|groups| groups.contains(group))
            }
        }
    }

    fn count(&self, counts: impl Fn(&Uuid) -> bool) -> i64 {
        let copies = self.holders().filter(|repository| !repository.is_cluster() && counts(repository));
        i64::try_from(copies.count()).unwrap_or(i64::MAX)
    }

    fn numcopies(&self) -> i64 {
        i64::try_from(self.placement.numcopies.get()).unwrap_or(i64::MAX)
    }

    fn lacking(&self) -> i64 {
        self.numcopies() - self.copies(&CopiesIn::AtLeast(Trust::Semitrusted))
    }

    /// Returns how many copies a group has to hold, given those that are elsewhere.
    fn lacking_outside(&self, group: &[u8]) -> i64 {
        let (trusted, inside) = (CopiesIn::AtLeast(Trust::Semitrusted), CopiesIn::Group(group.to_vec()));
        self.numcopies() - self.count(|repository| self.is_in(repository, &trusted) && !self.is_in(repository, &inside))
    }

    fn size(&self) -> Option<i128> {
        self.question.key.size().map(i128::from)
    }

    fn in_preferred_dir(&self) -> bool {
        let wanted = self.placement.preferred_dirs.get(self.question.repository).map_or(&b"public"[..], Vec::as_slice);
        let directory = |file: &'a [u8]| file.iter().rposition(|byte| *byte == b'/').and_then(|end| file.get(..end));
        let directory = self.file.and_then(directory);
        directory.is_some_and(|directory| directory.split(|byte| *byte == b'/').any(|part| part == wanted))
    }

    fn secure_hash(&self) -> bool {
        if self.question.key.backend() != b"VURL" {
            return is_secure(self.question.key.backend());
        }
        let keys = self.question.facts.equivalent_keys();
        !keys.is_empty() && keys.iter().all(|key| is_secure(key.backend()))
    }

    fn balanced(&self, balanced: &Balanced) -> bool {
        let copies = match balanced.copies {
            BalancedCopies::Number(number) => number,
            BalancedCopies::Lacking => self.lacking_outside(&balanced.group),
        };
        if balanced.lazy && !self.placement.rebalance {
            if self.present() {
                return true;
            }
            let enough = match balanced.copies {
                BalancedCopies::Number(number) => self.copies(&CopiesIn::Group(balanced.group.clone())) >= number,
                BalancedCopies::Lacking => self.lacking() < 1,
            };
            if enough {
                return false;
            }
        }
        let balance = Balance { placement: self.placement, question: self.question, logged: &self.logged, copies };
        balance.chosen(&balanced.group, balanced.by_size).contains(self.question.repository)
    }

    /// Returns the expression that `standard` or `groupwanted` stands for, if it can be told.
    fn named(&self, test: &Test, scope: Scope) -> Option<(&'a Expression, Scope)> {
        let groups = self.placement.groups.get(self.question.repository)?;
        match (test, scope) {
            (Test::Standard, Scope::Own | Scope::Group) => {
                only(groups.iter().filter_map(|group| standard_expression(group))).map(|e| (e, Scope::Standard))
            }
            (Test::GroupWanted, Scope::Own) => {
                let wanted = groups.iter().filter_map(|group| self.placement.group_preferred.get(group));
                only(wanted).map(|expression| (expression, Scope::Group))
            }
            _ => None,
        }
    }

    /// Tells whether a term that depends on the key being present stands under an odd number of `not`s.
    fn is_unstable(&self, expression: &Expression, scope: Scope, negated: bool) -> bool {
        match expression.fold() {
            Some(fold) => self.is_fold_unstable(fold, scope, negated),
            None => negated,
        }
    }

    fn is_fold_unstable(&self, fold: &Fold, scope: Scope, negated: bool) -> bool {
        fold.0.iter().any(|(_, operand)| self.is_operand_unstable(operand, scope, negated))
    }

    fn is_operand_unstable(&self, operand: &Operand, scope: Scope, negated: bool) -> bool {
        match operand {
            Operand::All => false,
            Operand::Not(operand) => self.is_operand_unstable(operand, scope, !negated),
            Operand::Group(fold) => self.is_fold_unstable(fold, scope, negated),
            Operand::Term(term) => match &term.test {
                Test::Present => negated,
                Test::Balanced(balanced) => negated && balanced.lazy,
                test @ (Test::Standard | Test::GroupWanted) => match self.named(test, scope) {
                    Some((expression, scope)) => self.is_unstable(expression, scope, negated),
                    None => negated,
                },
                _ => false,
            },
        }
    }
}

fn configured(expression: Option<&Expression>) -> Option<&Expression> {
    expression.filter(|expression| expression.is_configured())
}

fn only<T>(mut items: impl Iterator<Item = T>) -> Option<T> {
    items.next().filter(|_| items.next().is_none())
}
