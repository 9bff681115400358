//! Stories that proptest makes up. `PROPTEST_CASES` says how many.

use proptest::test_runner::{Config, TestError, TestRunner};

use crate::op::Story;

/// How many stories are run, and how many steps the longest has.
const STORIES: u32 = 300;
const STEPS: usize = 30;

#[test]
fn whatever_happens_nobody_is_told_what_is_not_so() {
    let cases = std::env::var("PROPTEST_CASES").ok().and_then(|text| text.parse().ok()).unwrap_or(STORIES);
    let config = Config { cases, failure_persistence: None, max_shrink_iters: 600, ..Config::default() };
    let told = TestRunner::new(config).run(&Story::any(STEPS), |story| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
        runtime.block_on(crate::run::run(&story));
        Ok(())
    });
    match told {
        Err(TestError::Fail(why, story)) => panic!("{why}\n{story:?}"),
        told => told.unwrap(),
    }
}
