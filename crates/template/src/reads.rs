//! What an expression looked at: the paths in it and their values, for people who ask why it did not hold.

use minijinja::machinery::{
    ast::{CallArg, Expr, UnaryOpKind},
    parse_expr,
};
use minijinja::{Value, value::ValueKind};

use crate::{Expression, MessageScope, Missing, output::Room};

/// The most paths that are told of one expression.
const PATHS_MAX: usize = 8;

/// The longest value that is told whole, in characters.
const VALUE_CHARS: usize = 80;

/// A path in an expression, and what it led to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Read {
    /// The path: `data.amount`, `lines[0].sku`, `body["odd name"]`.
    pub path: String,
    /// Its value as JSON, shortened; `None` when the message has none.
    pub value: Option<String>,
}

impl Expression {
    /// The paths that stand in the expression, in their order and each once, with their values in this message. At most eight.
    pub fn reads(&self, scope: &MessageScope<'_>) -> Vec<Read> {
        let Ok(tree) = parse_expr(self.text()) else {
            return Vec::new();
        };
        let mut paths = Vec::new();
        collect(&tree, &mut paths);
        paths.truncate(PATHS_MAX);
        paths
            .into_iter()
            .map(|path| Read {
                value: value_at(&path, scope),
                path,
            })
            .collect()
    }
}

fn value_at(path: &str, scope: &MessageScope<'_>) -> Option<String> {
    let expression = Expression::compile(path, Missing::Empty).ok()?;
    let value = match expression.value(scope) {
        Ok(value) if value.kind() == ValueKind::Undefined => return None,
        Ok(value) => expression.to_json(&value, &mut Room::default()),
        Err(error) => Err(error),
    };
    Some(match value {
        Ok(value) => shorten(&value.to_string()),
        Err(error) => format!("unreadable: {}", error.what),
    })
}

fn shorten(text: &str) -> String {
    match text.char_indices().nth(VALUE_CHARS) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

fn collect(expr: &Expr<'_>, paths: &mut Vec<String>) {
    if let Some(path) = path_of(expr) {
        if !paths.contains(&path) {
            paths.push(path);
        }
        return;
    }
    let mut each = |exprs: &[&Expr<'_>]| exprs.iter().for_each(|expr| collect(expr, paths));
    match expr {
        Expr::Const(_) | Expr::Var(_) => {}
        Expr::Slice(slice) => {
            each(&[&slice.expr]);
            each(
                &[&slice.start, &slice.stop, &slice.step]
                    .map(Option::as_ref)
                    .into_iter()
                    .flatten()
                    .collect::<Vec<_>>(),
            );
        }
        Expr::UnaryOp(unary) => each(&[&unary.expr]),
        Expr::BinOp(op) => each(&[&op.left, &op.right]),
        Expr::Compare(compare) => {
            each(&[&compare.expr]);
            compare.ops.iter().for_each(|op| each(&[&op.expr]));
        }
        Expr::IfExpr(cond) => {
            each(&[&cond.test_expr, &cond.true_expr]);
            cond.false_expr.iter().for_each(|other| each(&[other]));
        }
        Expr::Filter(filter) => {
            filter.expr.iter().for_each(|expr| each(&[expr]));
            filter.args.iter().for_each(|arg| each(&[argument(arg)]));
        }
        Expr::Test(test) => {
            each(&[&test.expr]);
            test.args.iter().for_each(|arg| each(&[argument(arg)]));
        }
        Expr::GetAttr(get) => each(&[&get.expr]),
        Expr::GetItem(get) => each(&[&get.expr, &get.subscript_expr]),
        Expr::Call(call) => each(&[&call.expr]),
        Expr::List(list) => list.items.iter().for_each(|item| each(&[item])),
        Expr::Tuple(tuple) => tuple.items.iter().for_each(|item| each(&[item])),
        Expr::Map(map) => map.values.iter().for_each(|value| each(&[value])),
    }
}

fn argument<'a, 'b>(arg: &'b CallArg<'a>) -> &'b Expr<'a> {
    match arg {
        CallArg::Pos(expr) | CallArg::Kwarg(_, expr) | CallArg::PosSplat(expr) | CallArg::KwargSplat(expr) => expr,
    }
}

/// The path that an expression is, written out; `None` when it is anything else.
fn path_of(expr: &Expr<'_>) -> Option<String> {
    match expr {
        Expr::Var(var) => Some(var.id.to_owned()),
        Expr::GetAttr(get) => Some(format!("{}.{}", path_of(&get.expr)?, get.name)),
        Expr::GetItem(get) => {
            let base = path_of(&get.expr)?;
            match &get.subscript_expr {
                Expr::Const(key) => step(&base, &key.value),
                Expr::UnaryOp(unary) => match (&unary.op, &unary.expr) {
                    (UnaryOpKind::Neg, Expr::Const(key)) if key.value.is_integer() => {
                        Some(format!("{base}[-{}]", key.value))
                    }
                    _ => None,
                },
                _ => None,
            }
        }
        _ => None,
    }
}

fn step(base: &str, key: &Value) -> Option<String> {
    if key.is_integer() {
        return Some(format!("{base}[{key}]"));
    }
    let name = serde_json::Value::from(key.as_str()?);
    Some(format!("{base}[{name}]"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAYLOAD: &[u8] =
        br#"{"data": {"amount": 50, "name": "Ada", "odd name": null, "tags": ["a", "b"]}, "lines": [{"sku": 1.50}]}"#;

    fn reads(text: &str) -> Vec<(String, Option<String>)> {
        let channels = ["eu".to_owned()];
        let scope = MessageScope::new("invoice.paid", &channels, PAYLOAD);
        let expression = Expression::compile(text, Missing::Empty).unwrap();
        let reads = expression.reads(&scope).into_iter();
        reads.map(|read| (read.path, read.value)).collect()
    }

    fn told(text: &str) -> String {
        let told = reads(text).into_iter();
        let told: Vec<_> = told
            .map(|(path, value)| format!("{path}={}", value.as_deref().unwrap_or("?")))
            .collect();
        told.join(" ")
    }

    #[test]
    fn the_paths_of_an_expression_are_told_once_with_their_values() {
        assert_eq!(
            told("data.amount > 100 and type == \"x\" or data.amount is none"),
            "data.amount=50 type=\"invoice.paid\""
        );
        assert_eq!(
            told("\"eu\" in channels and not data.gone.deep"),
            "channels=[\"eu\"] data.gone.deep=?"
        );
        assert_eq!(
            told("data[\"odd name\"]|default(data.name)|upper ~ lines[-1].sku"),
            "data[\"odd name\"]=null data.name=\"Ada\" lines[-1].sku=1.5"
        );
        assert_eq!(
            told("data.tags[data.amount - 50:2]|join(data.name)"),
            "data.tags=[\"a\",\"b\"] data.amount=50 data.name=\"Ada\""
        );
        assert_eq!(
            told("lines[data.amount].sku if headers.x else {\"a\": [body.x, (item,)]}"),
            "headers.x=? lines=[{\"sku\":1.5}] data.amount=50 body.x=? item=?"
        );
        assert_eq!(told("1 == 2"), "");
    }

    #[test]
    fn long_values_and_long_lists_of_them_are_shortened() {
        let names: Vec<_> = (0..20).map(|number| format!("a{number}")).collect();
        assert_eq!(reads(&names.join(" or ")).len(), PATHS_MAX);
        let payload = format!("{{\"long\": \"{}\"}}", "ä".repeat(100));
        let scope = MessageScope::new("a", &[], payload.as_bytes());
        let reads = Expression::compile("long", Missing::Empty).unwrap().reads(&scope);
        assert_eq!(reads[0].value.as_ref().unwrap().chars().count(), VALUE_CHARS + 1);
        let broken = MessageScope::new("a", &[], b"nonsense");
        let reads = Expression::compile("body", Missing::Empty).unwrap().reads(&broken);
        assert!(
            reads[0].value.as_ref().unwrap().starts_with("unreadable: "),
            "{reads:?}"
        );
    }
}
