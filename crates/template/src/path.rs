//! An expression that only walks into the payload: `body.customer.id`, `items[0]["name"]`.
//!
//! Most ordering keys are one. A path is followed without the engine, and finds a number as the publisher wrote it.

use minijinja::machinery::ast::Expr;

use crate::scope;

/// One step into a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Step {
    /// To the member of an object.
    Member(Box<str>),
    /// To the item of a list, from 0.
    Item(usize),
}

/// Where a path begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Base {
    /// At `body`.
    Body,
    /// At `item`.
    Item,
    /// At the payload, whose members stand without a name before them.
    Payload,
}

/// Steps inwards from where a path begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Path {
    base: Base,
    steps: Vec<Step>,
}

impl Path {
    pub(crate) fn base(&self) -> Base {
        self.base
    }

    pub(crate) fn steps(&self) -> &[Step] {
        &self.steps
    }

    /// The path that an expression is, if it is one and leads into the payload.
    pub(crate) fn of(expr: &Expr<'_>) -> Option<Self> {
        let mut steps = Vec::new();
        let mut at = expr;
        let root = loop {
            match at {
                Expr::Var(var) => break var.id,
                Expr::GetAttr(get) => {
                    steps.push(Step::Member(get.name.into()));
                    at = &get.expr;
                }
                Expr::GetItem(get) => {
                    let Expr::Const(key) = &get.subscript_expr else {
                        return None;
                    };
                    let key = &key.value;
                    steps.push(match key.as_str() {
                        Some(name) => Step::Member(name.into()),
                        None if key.is_integer() => Step::Item(key.as_usize()?),
                        None => return None,
                    });
                    at = &get.expr;
                }
                _ => return None,
            }
        };
        let base = match root {
            scope::BODY => Base::Body,
            scope::ITEM => Base::Item,
            ours if scope::NAMES.contains(&ours) => return None,
            member => {
                steps.push(Step::Member(member.into()));
                Base::Payload
            }
        };
        steps.reverse();
        Some(Self { base, steps })
    }
}

#[cfg(test)]
mod tests {
    use minijinja::machinery::parse_expr;

    use super::*;

    fn path(text: &str) -> Option<(Base, Vec<Step>)> {
        Path::of(&parse_expr(text).unwrap()).map(|path| (path.base, path.steps))
    }

    #[test]
    fn only_what_walks_into_the_payload_is_a_path() {
        let member = |name: &str| Step::Member(name.into());
        assert_eq!(path("body"), Some((Base::Body, vec![])));
        assert_eq!(path("body.a.b"), Some((Base::Body, vec![member("a"), member("b")])));
        assert_eq!(path("item.a"), Some((Base::Item, vec![member("a")])));
        assert_eq!(
            path("a[2][\"x y\"]"),
            Some((Base::Payload, vec![member("a"), Step::Item(2), member("x y")]))
        );
        for other in [
            "type",
            "headers.x",
            "a[-1]",
            "a[b]",
            "a ~ b",
            "a|lower",
            "1",
            "a[1.5]",
            "a[true]",
        ] {
            assert_eq!(path(other), None, "{other}");
        }
    }
}
