//! The external special remote program.
