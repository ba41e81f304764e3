//! Walking lists: pages of every size, both orders, forth and back, make the same list.

use std::future::Future;

use bellwire_store::query::{Order, Page, Rows, Start};

/// More than any list of the suite has.
const MANY: usize = 10_000;

/// Walks a list in every way and answers it whole, oldest first. `expected` is how many rows it has.
pub async fn walk<T, F, Fut>(expected: usize, number: impl Fn(&T) -> u64, fetch: F) -> Vec<T>
where
    T: PartialEq + std::fmt::Debug,
    F: Fn(Page) -> Fut,
    Fut: Future<Output = Rows<T>>,
{
    let ascending = fetch(Page {
        limit: MANY,
        start: Start::First,
        order: Order::Ascending,
    })
    .await;
    assert!(!ascending.more);
    let numbers: Vec<u64> = ascending.items.iter().map(&number).collect();
    assert_eq!(numbers.len(), expected, "the whole list");
    assert!(numbers.is_sorted_by(|a, b| a < b), "oldest first, each once");

    for order in [Order::Ascending, Order::Descending] {
        let mut whole = numbers.clone();
        if order == Order::Descending {
            whole.reverse();
        }
        for limit in [1, 2, 3, 7, expected.max(1), MANY] {
            assert_eq!(
                forth(limit, order, &number, &fetch).await,
                whole,
                "forth by {limit}, {order:?}"
            );
            if let Some(last) = whole.last() {
                let mut back = back(*last, limit, order, &number, &fetch).await;
                back.push(*last);
                assert_eq!(back, whole, "back by {limit}, {order:?}");
            }
        }
        if let (Some(first), Some(last)) = (whole.first(), whole.last()) {
            for start in [Start::Before(*first), Start::After(*last)] {
                let beyond = fetch(Page { limit: 3, start, order }).await;
                assert_eq!(
                    beyond,
                    Rows::EMPTY,
                    "nothing lies beyond the ends: {start:?}, {order:?}"
                );
            }
        }
    }
    ascending.items
}

async fn forth<T, F, Fut>(limit: usize, order: Order, number: impl Fn(&T) -> u64, fetch: &F) -> Vec<u64>
where
    F: Fn(Page) -> Fut,
    Fut: Future<Output = Rows<T>>,
{
    let mut walked = Vec::new();
    let mut start = Start::First;
    loop {
        let rows = fetch(Page { limit, start, order }).await;
        assert!(rows.items.len() <= limit);
        assert!(
            !rows.more || rows.items.len() == limit,
            "a page is full when more lies behind it"
        );
        walked.extend(rows.items.iter().map(&number));
        match walked.last() {
            Some(last) if rows.more => start = Start::After(*last),
            _ => return walked,
        }
    }
}

async fn back<T, F, Fut>(from: u64, limit: usize, order: Order, number: impl Fn(&T) -> u64, fetch: &F) -> Vec<u64>
where
    F: Fn(Page) -> Fut,
    Fut: Future<Output = Rows<T>>,
{
    let mut walked: Vec<u64> = Vec::new();
    let mut start = Start::Before(from);
    loop {
        let rows = fetch(Page { limit, start, order }).await;
        assert!(rows.items.len() <= limit);
        assert!(
            !rows.more || rows.items.len() == limit,
            "a page is full when more lies before it"
        );
        walked.splice(0..0, rows.items.iter().map(&number));
        match walked.first() {
            Some(first) if rows.more => start = Start::Before(*first),
            _ => return walked,
        }
    }
}
