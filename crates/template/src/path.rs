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

/// Steps from the payload inwards.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Path(Vec<Step>);

impl Path {
    pub(crate) fn steps(&self) -> &[Step] {
        &self.0
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
        if root != scope::BODY {
            if scope::NAMES.contains(&root) {
                return None;
            }
            steps.push(Step::Member(root.into()));
        }
        steps.reverse();
        Some(Self(steps))
    }
}

#[cfg(test)]
mod tests {
    use minijinja::machinery::parse_expr;

    use super::*;

    fn path(text: &str) -> Option<Vec<Step>> {
        Path::of(&parse_expr(text).unwrap()).map(|path| path.0)
    }

    #[test]
    fn only_what_walks_into_the_payload_is_a_path() {
        let member = |name: &str| Step::Member(name.into());
        assert_eq!(path("body"), Some(vec![]));
        assert_eq!(path("body.a.b"), Some(vec![member("a"), member("b")]));
        assert_eq!(
            path("a[2][\"x y\"]"),
            Some(vec![member("a"), Step::Item(2), member("x y")])
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
