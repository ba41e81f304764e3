//! Walking over tables per day in either direction, until a page is full.

use std::ops::ControlFlow;

use super::days::{Days, Kind, day_of};
use crate::query::{Order, Page, Rows, Start};

/// A range of ids: `first` in it, `end` not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Span {
    pub first: u64,
    pub end: u64,
}

impl Span {
    pub const ALL: Self = Self {
        first: 0,
        end: u64::MAX,
    };

    /// What both have in common.
    pub fn and(self, other: Self) -> Self {
        Self {
            first: self.first.max(other.first),
            end: self.end.min(other.end),
        }
    }

    pub fn first_key(self) -> i64 {
        i64::try_from(self.first).unwrap_or(i64::MAX)
    }

    pub fn end_key(self) -> i64 {
        i64::try_from(self.end).unwrap_or(i64::MAX)
    }

    /// The days it touches, in the order of the walk.
    pub fn days(self, days: &Days, kind: Kind, ascending: bool) -> Vec<i64> {
        let last = if self.end > u64::MAX >> 1 {
            i64::MAX
        } else {
            day_of(self.end.saturating_sub(1))
        };
        let mut touched: Vec<i64> = days
            .from(kind, day_of(self.first))
            .take_while(|day| *day <= last)
            .collect();
        if !ascending {
            touched.reverse();
        }
        touched
    }
}

/// Collects a page.
#[derive(Debug)]
pub(crate) struct Walk<T> {
    page: Page,
    items: Vec<T>,
    more: bool,
}

impl<T> Walk<T> {
    pub fn new(page: Page) -> Self {
        Self {
            page,
            items: Vec::new(),
            more: false,
        }
    }

    /// The ids that can be on the page.
    pub fn span(&self) -> Span {
        match (self.page.start, self.ascending()) {
            (Start::First, _) => Span::ALL,
            (Start::After(mark) | Start::Before(mark), true) => Span {
                first: mark.saturating_add(1),
                end: u64::MAX,
            },
            (Start::After(mark) | Start::Before(mark), false) => Span { first: 0, end: mark },
        }
    }

    /// Which way to walk: against the list's order when walking back.
    pub fn ascending(&self) -> bool {
        (self.page.order == Order::Ascending) != matches!(self.page.start, Start::Before(_))
    }

    /// Whether another item would be on the page; the one after it only tells that there are more.
    pub fn has_room(&self) -> bool {
        self.items.len() < self.page.limit
    }

    /// Takes the next item; tells when the walk is over.
    pub fn push(&mut self, item: T) -> ControlFlow<()> {
        if !self.has_room() {
            self.more = true;
            return ControlFlow::Break(());
        }
        self.items.push(item);
        ControlFlow::Continue(())
    }

    /// The page, in the list's order.
    pub fn into_rows(self) -> Rows<T> {
        let Self { page, mut items, more } = self;
        if matches!(page.start, Start::Before(_)) {
            items.reverse();
        }
        Rows { items, more }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_walk_goes_against_the_order_when_it_walks_back() {
        let walk = |start, order| {
            let walk = Walk::<u64>::new(Page { limit: 2, start, order });
            (walk.ascending(), walk.span().first, walk.span().end)
        };
        assert_eq!(walk(Start::First, Order::Descending), (false, 0, u64::MAX));
        assert_eq!(walk(Start::After(9), Order::Descending), (false, 0, 9));
        assert_eq!(walk(Start::Before(9), Order::Descending), (true, 10, u64::MAX));
        assert_eq!(walk(Start::After(9), Order::Ascending), (true, 10, u64::MAX));
        assert_eq!(walk(Start::Before(9), Order::Ascending), (false, 0, 9));
    }

    #[test]
    fn a_full_page_says_that_there_are_more() {
        let mut walk = Walk::new(Page {
            limit: 2,
            start: Start::Before(9),
            order: Order::Ascending,
        });
        assert!([8, 7].into_iter().all(|item| walk.push(item).is_continue()));
        assert!(walk.push(6).is_break());
        assert_eq!(
            walk.into_rows(),
            Rows {
                items: vec![7, 8],
                more: true
            }
        );
    }
}
