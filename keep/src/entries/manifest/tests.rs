use proptest::prelude::*;

use super::*;

const KEY: &[u8] = b"0123456789abcdef0123456789abcdef";

fn component() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(any::<u8>(), 1..40)
        .prop_filter("a component", |bytes| !bytes.contains(&b'/') && bytes != b"." && bytes != b"..")
}

fn blocks() -> impl Strategy<Value = Vec<Block>> {
    let block = (any::<[u8; 16]>(), 1..=crate::base::stream::MAX_BLOCK);
    prop::collection::vec(block.prop_map(|(hash, size)| Block { hash: hash.into(), size }), 0..5)
}

proptest! {
    #[test]
    fn a_sealed_manifest_reads_back(owner in component(), name in component(), blocks in blocks()) {
        let text = Sealer::new(KEY).write(&owner, &name, &blocks).unwrap();
        let read = Sealer::new(KEY).read(&text).unwrap();
        prop_assert_eq!(&read, &Manifest { owner, name, blocks, proof: Proof::Sealed });
        prop_assert_eq!(Sealer::new(b"another key").read(&text).unwrap().proof, Proof::Foreign);
    }

    #[test]
    fn no_changed_byte_leaves_the_seal_whole(at in any::<prop::sample::Index>(), xor in 1u8..) {
        let blocks = [Block { hash: [1; 16].into(), size: 10 }, Block { hash: [2; 16].into(), size: 20 }];
        let sealed = Sealer::new(KEY).write(b"owner", b"name", &blocks).unwrap();
        let mut changed = sealed.clone();
        changed[at.index(sealed.len())] ^= xor;
        // The letter case of a signature's digits carries no meaning.
        if !changed.eq_ignore_ascii_case(&sealed) {
            prop_assert!(Sealer::new(KEY).read(&changed).is_none_or(|read| read.proof == Proof::Foreign));
        }
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = Sealer::new(KEY).read(&[BEGINS, &bytes].concat());
    }
}

#[test]
fn blocks_cannot_be_left_out_swapped_or_moved_to_another_size() {
    let (one, two) = (Block { hash: [1; 16].into(), size: 10 }, Block { hash: [2; 16].into(), size: 10 });
    let text = String::from_utf8(Sealer::new(KEY).write(b"owner", b"name", &[one, two]).unwrap()).unwrap();
    let [stream, first, second, segment] = text.split(' ').collect::<Vec<_>>()[..] else { panic!("{text}") };
    for forged in [
        format!("{stream} {first} 0:10:name\n"),
        format!("{stream} {second} {first} {segment}"),
        format!("{stream} {first} {second} {second} 0:30:name\n"),
        format!("{stream} {first} {second} 0:15:name\n"),
    ] {
        let read = Sealer::new(KEY).read(forged.as_bytes());
        assert!(read.is_none_or(|read| read.proof == Proof::Foreign), "{forged}");
    }
    assert_eq!(Sealer::new(KEY).read(text.as_bytes()).unwrap().proof, Proof::Sealed);
}
