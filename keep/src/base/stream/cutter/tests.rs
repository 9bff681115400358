use super::*;

async fn cut(block_size: u32, offset: u64, parts: &[&[u8]]) -> Vec<(Vec<u8>, Digest)> {
    let mut cutter = Cutter::new(block_size, offset);
    let mut pieces = Vec::new();
    for part in parts {
        pieces.extend(cutter.push(Bytes::copy_from_slice(part)).await);
    }
    pieces.extend(cutter.finish());
    assert!(cutter.finish().is_none());
    let (mut blocks, mut block) = (Vec::new(), Vec::new());
    for piece in pieces {
        match piece {
            Piece::Data(bytes) => {
                assert!(!bytes.is_empty());
                block.extend_from_slice(&bytes);
            }
            Piece::Cut(digest) => blocks.push((std::mem::take(&mut block), digest.wait().await.unwrap())),
        }
    }
    assert!(block.is_empty(), "bytes after the last cut");
    for (bytes, digest) in &blocks {
        assert_eq!(digest.md5, <[u8; 16]>::from(Md5::digest(bytes)));
        assert_eq!(digest.len as usize, bytes.len());
    }
    blocks
}

fn sizes(blocks: &[(Vec<u8>, Digest)]) -> Vec<usize> {
    blocks.iter().map(|(bytes, _)| bytes.len()).collect()
}

#[tokio::test]
async fn empty_content_has_no_block() {
    assert!(cut(10, 0, &[b"", b""]).await.is_empty());
}

#[tokio::test]
async fn an_exact_multiple_ends_without_an_empty_block() {
    assert_eq!(sizes(&cut(4, 0, &[b"abcd", b"efgh"]).await), [4, 4]);
}

#[tokio::test]
async fn one_push_can_span_blocks() {
    let blocks = cut(4, 0, &[b"ab", b"cdefghijk", b"l", b"m"]).await;
    assert_eq!(
        blocks.iter().map(|(bytes, _)| bytes.as_slice()).collect::<Vec<_>>(),
        [&b"abcd"[..], b"efgh", b"ijkl", b"m"]
    );
}

#[tokio::test]
async fn cuts_stay_on_the_grid_of_the_whole_content() {
    assert_eq!(sizes(&cut(4, 6, &[b"abcdefg"]).await), [2, 4, 1]);
    assert_eq!(sizes(&cut(4, 8, &[b"abcdefg"]).await), [4, 3]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn large_blocks_hashed_off_the_runtime_are_right() {
    let data: Vec<u8> = (0..3_500_000u32).flat_map(u32::to_le_bytes).collect();
    let parts: Vec<&[u8]> = data.chunks(100_003).collect();
    assert_eq!(sizes(&cut(4 << 20, 0, &parts).await), [4 << 20, 4 << 20, 4 << 20, 14_000_000 - (12 << 20)]);
}

#[tokio::test]
async fn a_push_larger_than_the_budget_passes() {
    let data = vec![7u8; 65 << 20];
    assert_eq!(cut(8 << 20, 0, &[&data]).await.len(), 9);
}

#[tokio::test]
async fn few_bytes_that_gather_make_nobody_wait_for_ever() {
    let budget = Budget::new(1000);
    let mut cutters = [0, 1].map(|_| Cutter::within(budget.clone(), MAX_BLOCK, 0));
    let pushed = async {
        for _ in 0..10 {
            cutters[0].push(vec![1; 600].into()).await;
        }
        assert!(cutters[0].finish().is_some());
        cutters[1].push(vec![2; 600].into()).await;
    };
    tokio::time::timeout(std::time::Duration::from_secs(30), pushed)
        .await
        .expect("bytes are hashed when there is no room");
}

#[tokio::test]
async fn cutters_with_budgets_of_their_own_do_not_wait_for_each_other() {
    let [mut full, mut other] = [0, 1].map(|_| Cutter::within(Budget::new(1000), MAX_BLOCK, 0));
    full.push(vec![1; 1000].into()).await;
    let pushed = other.push(vec![2; 1000].into());
    tokio::time::timeout(std::time::Duration::from_secs(30), pushed).await.expect("it has room");
}
