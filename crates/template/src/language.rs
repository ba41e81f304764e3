//! What of MiniJinja is our language, judged before anything runs.
//!
//! Fuel stops loops and long texts, but not everything: comparing or printing lists that share their parts takes time and
//! memory out of all proportion to the fuel, and a long enough chain of operators overflows the stack while it is compiled.
//! So the language leaves out what makes such values: functions, macros, multiplication of anything but numbers, names for
//! new lists, filters that fill up. What remains grows with the text and the payload only, and both are bounded.
//!
//! Reads the syntax tree that the engine makes; changes nothing in it.

use std::ops::Range;

use minijinja::machinery::{
    Span,
    ast::{BinOpKind, CallArg, Expr, Filter, Spanned, Stmt, UnaryOpKind},
    parse, parse_expr,
};

use crate::{
    engine,
    error::{Reason, TemplateError},
    measure::measure,
    path::Path,
};

/// How often one tag may name something of the message: what it makes is at most so many payloads large.
const NAMES_MAX: usize = 64;

/// The filters there are.
pub(crate) const FILTERS: &[&str] = &[
    "abs",
    "attr",
    "bool",
    "capitalize",
    "count",
    "d",
    "default",
    "dictsort",
    "e",
    "escape",
    "first",
    "float",
    "int",
    "items",
    "join",
    "last",
    "length",
    "lines",
    "list",
    "lower",
    "map",
    "max",
    "min",
    "reject",
    "rejectattr",
    "replace",
    "reverse",
    "round",
    "safe",
    "select",
    "selectattr",
    "sort",
    "split",
    "string",
    "sum",
    "title",
    "tojson",
    "trim",
    "unique",
    "upper",
    "urlencode",
];

/// The tests there are, behind `is`.
const TESTS: &[&str] = &[
    "boolean",
    "defined",
    "divisibleby",
    "endingwith",
    "eq",
    "equalto",
    "even",
    "false",
    "float",
    "ge",
    "greaterthan",
    "gt",
    "in",
    "int",
    "integer",
    "iterable",
    "le",
    "lessthan",
    "lt",
    "mapping",
    "ne",
    "none",
    "number",
    "odd",
    "sequence",
    "startingwith",
    "string",
    "true",
    "undefined",
    "==",
    "!=",
    "<",
    "<=",
    ">",
    ">=",
];

/// Filters whose answer is a number, or an error.
const NUMERIC: &[&str] = &["abs", "count", "float", "int", "length", "round"];

/// What a template is made of, as far as its caller cares.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Shape {
    /// Nothing but one `{{ expression }}`.
    Single,
    /// Anything else.
    Mixed,
}

/// Judges an expression; answers the path that it is, if it is nothing else.
pub(crate) fn expression(text: &str) -> Result<Option<Path>, TemplateError> {
    measure(text, true)?;
    let tree = parse_expr(text).map_err(|error| TemplateError::of_engine(text, &error))?;
    Judge::new(text).expr(&tree, false)?;
    Ok(Path::of(&tree))
}

/// Judges a template.
pub(crate) fn template(text: &str) -> Result<Shape, TemplateError> {
    measure(text, false)?;
    let tree = parse(text, engine::NAME, engine::syntax()).map_err(|error| TemplateError::of_engine(text, &error))?;
    Judge::new(text).stmt(&tree)?;
    Ok(shape(text, &tree))
}

fn shape(text: &str, tree: &Stmt<'_>) -> Shape {
    let Stmt::Template(template) = tree else {
        return Shape::Mixed;
    };
    let [Stmt::EmitExpr(_)] = template.children.as_slice() else {
        return Shape::Mixed;
    };
    // Comments and trimmed white space leave no trace in the tree, so the text has the last word.
    let inner = text.strip_prefix("{{").and_then(|rest| rest.strip_suffix("}}"));
    match inner.is_some_and(|inner| !inner.contains("{{")) {
        true => Shape::Single,
        false => Shape::Mixed,
    }
}

/// The bytes of the text that a span covers.
pub(crate) fn bytes(span: Span) -> Range<usize> {
    span.start_offset as usize..span.end_offset as usize
}

struct Judge<'a> {
    text: &'a str,
    /// Names of the message's in this tag so far.
    names: usize,
    /// The names that the template itself gave so far.
    given: Vec<String>,
    /// How many loops we are in.
    loops: usize,
}

impl<'a> Judge<'a> {
    fn new(text: &'a str) -> Self {
        Self {
            text,
            names: 0,
            given: Vec::new(),
            loops: 0,
        }
    }

    fn refuse(&self, span: Span, what: impl Into<String>) -> Result<(), TemplateError> {
        Err(TemplateError::at(self.text, bytes(span), Reason::Refused, what))
    }

    fn stmts(&mut self, stmts: &[Stmt<'_>]) -> Result<(), TemplateError> {
        stmts.iter().try_for_each(|stmt| self.stmt(stmt))
    }

    fn stmt(&mut self, stmt: &Stmt<'_>) -> Result<(), TemplateError> {
        self.names = 0;
        match stmt {
            Stmt::Template(template) => self.stmts(&template.children),
            Stmt::EmitExpr(emit) => self.expr(&emit.expr, false),
            Stmt::EmitRaw(_) => Ok(()),
            Stmt::IfCond(cond) => {
                self.expr(&cond.expr, false)?;
                self.stmts(&cond.true_body)?;
                self.stmts(&cond.false_body)
            }
            Stmt::ForLoop(of) => {
                if of.recursive {
                    return self.refuse(of.span(), "loops are not recursive here");
                }
                self.expr(&of.iter, true)?;
                self.give(&of.target);
                self.loops += 1;
                if let Some(filter) = &of.filter_expr {
                    self.expr(filter, false)?;
                }
                self.stmts(&of.body)?;
                self.loops -= 1;
                self.stmts(&of.else_body)
            }
            Stmt::Set(set) => {
                self.expr(&set.expr, true)?;
                self.give(&set.target);
                Ok(())
            }
            Stmt::SetBlock(stmt) => self.refuse(stmt.span(), "`set` takes a value here: `{% set name = value %}`"),
            Stmt::WithBlock(stmt) => self.refuse(stmt.span(), "there is no `with`; use `{% set name = value %}`"),
            Stmt::AutoEscape(stmt) => self.refuse(
                stmt.span(),
                "there is no `autoescape`: how a template escapes is said beside it",
            ),
            Stmt::FilterBlock(stmt) => self.refuse(stmt.span(), "there is no `filter` block; use `value|filter`"),
            Stmt::Do(stmt) => self.refuse(stmt.span(), "there is no `do`"),
        }
    }

    fn give(&mut self, target: &Expr<'_>) {
        match target {
            Expr::Var(var) => self.given.push(var.id.to_owned()),
            Expr::List(list) => list.items.iter().for_each(|item| self.give(item)),
            Expr::Tuple(tuple) => tuple.items.iter().for_each(|item| self.give(item)),
            _ => {}
        }
    }

    /// `x[n]` on a text walks along it, and nothing counts that. So in a loop `x` comes fresh from the message or a filter,
    /// where long texts are counted.
    fn may_be_indexed(&self, base: &Expr<'_>) -> bool {
        match base {
            Expr::Filter(_) => true,
            Expr::Var(var) => !self.given.iter().any(|name| name == var.id),
            Expr::GetItem(get) => self.may_be_indexed(&get.expr),
            Expr::GetAttr(get) => matches!(get.expr, Expr::Var(_)) || self.may_be_indexed(&get.expr),
            _ => false,
        }
    }

    fn index(&self, base: &Expr<'_>, span: Span) -> Result<(), TemplateError> {
        if self.loops == 0 || self.may_be_indexed(base) {
            return Ok(());
        }
        self.refuse(
            span,
            "in a loop, `[…]` stands behind a member of the message, as in `line.tags[0]`; use `|first` and `|last` for other values",
        )
    }

    /// What filters take as the name of a member is a constant, and no number: that would walk along texts, uncounted.
    fn attribute(&self, filter: &Spanned<Filter<'_>>) -> Result<(), TemplateError> {
        let takes_filter = filter.name == "map" && matches!(filter.args.as_slice(), [CallArg::Pos(Expr::Const(_))]);
        let takes_member = matches!(filter.args.as_slice(), [CallArg::Kwarg("attribute", _)]);
        if filter.name == "map" && !takes_filter && !takes_member {
            let what = "`map` takes one argument here: `map(\"lower\")` or `map(attribute=\"name\")`";
            return self.refuse(filter.span(), what);
        }
        let first_is_member = matches!(filter.name, "selectattr" | "rejectattr");
        for (at, arg) in filter.args.iter().enumerate() {
            let name = match arg {
                CallArg::Kwarg("attribute", name) => name,
                CallArg::Pos(name) if at == 0 && first_is_member => name,
                _ => continue,
            };
            if !is_member_path(name) {
                let what = "the name of a member is a text here, such as \"name\" or \"address.city\", and no number";
                return self.refuse(filter.span(), what);
            }
        }
        Ok(())
    }

    fn exprs(&mut self, exprs: &[Expr<'_>], gets_a_name: bool) -> Result<(), TemplateError> {
        exprs.iter().try_for_each(|expr| self.expr(expr, gets_a_name))
    }

    /// `gets_a_name`: a loop or `set` names the value, or parts of it, and can so double it again and again.
    fn expr(&mut self, expr: &Expr<'_>, gets_a_name: bool) -> Result<(), TemplateError> {
        match expr {
            Expr::Const(_) => Ok(()),
            Expr::Var(var) => {
                self.names += 1;
                if self.names > NAMES_MAX {
                    let what = format!("names too much at once: at most {NAMES_MAX} values of the message in one tag");
                    return self.refuse(var.span(), what);
                }
                Ok(())
            }
            Expr::Slice(slice) => {
                self.index(&slice.expr, slice.span())?;
                self.expr(&slice.expr, gets_a_name)?;
                [&slice.start, &slice.stop, &slice.step]
                    .into_iter()
                    .flatten()
                    .try_for_each(|part| self.expr(part, gets_a_name))
            }
            Expr::UnaryOp(unary) => self.expr(&unary.expr, gets_a_name),
            Expr::BinOp(op) => {
                if matches!(op.op, BinOpKind::Mul) && !(is_number(&op.left) && is_number(&op.right)) {
                    let what =
                        "`*` is for numbers, and this may be something else; say so, as in `price|float * count|int`";
                    return self.refuse(op.span(), what);
                }
                if matches!(op.op, BinOpKind::Add) && gets_a_name && !(is_number(&op.left) || is_number(&op.right)) {
                    let what = "`+` is for numbers here; say so, as in `price|float + 1`, or join texts with `~`";
                    return self.refuse(op.span(), what);
                }
                self.expr(&op.left, gets_a_name)?;
                self.expr(&op.right, gets_a_name)
            }
            Expr::Compare(compare) => {
                self.expr(&compare.expr, gets_a_name)?;
                compare.ops.iter().try_for_each(|op| self.expr(&op.expr, gets_a_name))
            }
            Expr::IfExpr(cond) => {
                self.expr(&cond.test_expr, gets_a_name)?;
                self.expr(&cond.true_expr, gets_a_name)?;
                cond.false_expr
                    .iter()
                    .try_for_each(|other| self.expr(other, gets_a_name))
            }
            Expr::Filter(filter) => {
                if !FILTERS.contains(&filter.name) {
                    let what = format!("there is no filter `{}`; there are {}", filter.name, FILTERS.join(", "));
                    return self.refuse(filter.span(), what);
                }
                self.attribute(filter)?;
                filter.expr.iter().try_for_each(|expr| self.expr(expr, gets_a_name))?;
                self.args(&filter.args, filter.span(), gets_a_name)
            }
            Expr::Test(test) => {
                if !TESTS.contains(&test.name) {
                    let what = format!("there is no test `is {}`; there are {}", test.name, TESTS.join(", "));
                    return self.refuse(test.span(), what);
                }
                self.expr(&test.expr, gets_a_name)?;
                self.args(&test.args, test.span(), gets_a_name)
            }
            Expr::GetAttr(get) => self.expr(&get.expr, gets_a_name),
            Expr::GetItem(get) => {
                self.index(&get.expr, get.span())?;
                self.expr(&get.expr, gets_a_name)?;
                self.expr(&get.subscript_expr, gets_a_name)
            }
            Expr::Call(call) => self.refuse(
                call.span(),
                "there are no functions or methods; use a filter, as in `name|lower`",
            ),
            Expr::List(list) => self.literal(&list.items, list.span(), gets_a_name),
            Expr::Tuple(tuple) => self.literal(&tuple.items, tuple.span(), gets_a_name),
            Expr::Map(map) => {
                if !map.keys.iter().all(|key| matches!(key, Expr::Const(_))) {
                    return self.refuse(map.span(), "the keys of a new object are constants");
                }
                self.literal(&map.values, map.span(), gets_a_name)
            }
        }
    }

    fn literal(&mut self, items: &[Expr<'_>], span: Span, gets_a_name: bool) -> Result<(), TemplateError> {
        if gets_a_name && !items.iter().all(is_constant) {
            return self.refuse(span, "a list or object that gets a name here holds constants only");
        }
        self.exprs(items, gets_a_name)
    }

    fn args(&mut self, args: &[CallArg<'_>], span: Span, gets_a_name: bool) -> Result<(), TemplateError> {
        args.iter().try_for_each(|arg| match arg {
            CallArg::Pos(expr) | CallArg::Kwarg(_, expr) => self.expr(expr, gets_a_name),
            CallArg::PosSplat(_) | CallArg::KwargSplat(_) => {
                self.refuse(span, "`*` and `**` do not unpack arguments here")
            }
        })
    }
}

fn is_member_path(expr: &Expr<'_>) -> bool {
    let Expr::Const(constant) = expr else { return false };
    let starts_like_a_name = |part: &str| {
        !part
            .trim_start()
            .starts_with(|c: char| c.is_ascii_digit() || "+-".contains(c))
    };
    constant
        .value
        .as_str()
        .is_some_and(|path| path.split(['.', ',']).all(starts_like_a_name))
}

fn is_constant(expr: &Expr<'_>) -> bool {
    match expr {
        Expr::Const(_) => true,
        Expr::List(list) => list.items.iter().all(is_constant),
        Expr::Tuple(tuple) => tuple.items.iter().all(is_constant),
        Expr::Map(map) => map.keys.iter().chain(&map.values).all(is_constant),
        Expr::UnaryOp(unary) => is_constant(&unary.expr),
        _ => false,
    }
}

/// Whether the value is a number whatever the message: anything else makes it an error.
fn is_number(expr: &Expr<'_>) -> bool {
    match expr {
        Expr::Const(constant) => constant.value.is_number(),
        Expr::UnaryOp(unary) => matches!(unary.op, UnaryOpKind::Neg),
        Expr::BinOp(op) => match op.op {
            BinOpKind::Sub
            | BinOpKind::Mul
            | BinOpKind::Div
            | BinOpKind::FloorDiv
            | BinOpKind::Rem
            | BinOpKind::Pow => true,
            BinOpKind::Add => is_number(&op.left) || is_number(&op.right),
            _ => false,
        },
        Expr::IfExpr(cond) => is_number(&cond.true_expr) && cond.false_expr.as_ref().is_some_and(is_number),
        Expr::Filter(filter) => NUMERIC.contains(&filter.name),
        _ => false,
    }
}
