//! A Keep store: named entries on top of blocks.
