//! Sizes as people read them.

/// Shows a size to people, in decimal units: `20 GB`, `1.25 MB`.
pub(super) fn shown(bytes: u64) -> String {
    const UNITS: [(u64, &str); 6] = [
        (1_000_000_000_000_000_000, "EB"),
        (1_000_000_000_000_000, "PB"),
        (1_000_000_000_000, "TB"),
        (1_000_000_000, "GB"),
        (1_000_000, "MB"),
        (1000, "kB"),
    ];
    let Some((size, unit)) = UNITS.iter().find(|(size, _)| bytes >= *size) else { return format!("{bytes} bytes") };
    let hundredths = format!("{:02}", bytes % size / (size / 100));
    match hundredths.trim_end_matches('0') {
        "" => format!("{} {unit}", bytes / size),
        part => format!("{}.{part} {unit}", bytes / size),
    }
}

#[cfg(test)]
mod tests {
    use super::shown;

    #[test]
    fn sizes_are_shown_in_their_greatest_unit() {
        let wanted =
            [(0, "0 bytes"), (999, "999 bytes"), (1000, "1 kB"), (1_050_000, "1.05 MB"), (20_000_000_000, "20 GB")];
        for (bytes, text) in wanted {
            assert_eq!(shown(bytes), text);
        }
        assert_eq!(shown(u64::MAX), "18.44 EB");
    }
}
