//! Preferred content expressions.
