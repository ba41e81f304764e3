//! MiniJinja, set up as our language wants it: bounded, without functions, and writing values as JSON does.

use std::{fmt::Write as _, sync::LazyLock};

use minijinja::{
    AutoEscape, Environment, Error, ErrorKind, Output, State, UndefinedBehavior, Value, escape_formatter,
    syntax::SyntaxConfig, value::ValueKind,
};

use crate::{
    Missing, OUTPUT_BYTES_MAX,
    escape::{self, Escape},
    output,
};

/// The name of the one template of an environment.
pub(crate) const NAME: &str = "template";

/// The work that one evaluation of an expression may do: some milliseconds.
const FUEL_EXPRESSION: u64 = 50_000;

/// The work that one rendering may do: room to walk over a large payload and to write all it may write.
const FUEL_TEMPLATE: u64 = 100_000;

/// How many bytes of JSON are made for the price of one fuel: making it costs far more than the fuel for the text.
const JSON_BYTES_PER_FUEL: usize = 16;

/// Frames of nested loops.
const RECURSION_MAX: usize = 64;

/// What the engine has and the language leaves out (see `language`): `select("name")` finds filters and tests at run time.
const LEFT_OUT_FILTERS: &[&str] = &[
    "batch", "chain", "format", "groupby", "indent", "pprint", "slice", "zip",
];
const LEFT_OUT_TESTS: &[&str] = &["escaped", "filter", "lower", "safe", "sameas", "test", "upper"];
const LEFT_OUT_FUNCTIONS: &[&str] = &["debug", "dict", "namespace", "range"];

static EMPTY: LazyLock<Environment<'static>> = LazyLock::new(|| base(Missing::Empty, FUEL_EXPRESSION));
static ERROR: LazyLock<Environment<'static>> = LazyLock::new(|| base(Missing::Error, FUEL_EXPRESSION));

/// What expressions are compiled and evaluated in.
pub(crate) fn for_expressions(missing: Missing) -> &'static Environment<'static> {
    match missing {
        Missing::Empty => &EMPTY,
        Missing::Error => &ERROR,
    }
}

/// What one template is compiled and rendered in.
pub(crate) fn for_template(missing: Missing, escape: Escape) -> Environment<'static> {
    let mut environment = for_expressions(missing).clone();
    environment.set_fuel(Some(FUEL_TEMPLATE));
    environment.set_auto_escape_callback(move |_| match escape {
        Escape::Html => AutoEscape::Html,
        Escape::None => AutoEscape::None,
        Escape::Url => AutoEscape::Custom(escape::URL.into()),
        Escape::Entities => AutoEscape::Custom(escape::ENTITIES.into()),
        Escape::Mentions => AutoEscape::Custom(escape::MENTIONS.into()),
        Escape::Links => AutoEscape::Custom(escape::LINKS.into()),
    });
    environment
}

/// What a lone expression is compiled and evaluated in, whose value is wanted and not its text.
pub(crate) fn for_value(missing: Missing) -> Environment<'static> {
    let mut environment = for_template(missing, Escape::None);
    environment.set_formatter(|_, state, value| {
        state.get_or_insert_extension(Kept::default()).0 = value.clone();
        Ok(())
    });
    environment
}

/// The value that a lone expression had.
#[derive(Debug, Default)]
pub(crate) struct Kept(pub Value);

/// What making so many bytes of JSON is worth.
pub(crate) fn fuel_for_json(bytes: usize) -> u64 {
    u64::try_from(bytes / JSON_BYTES_PER_FUEL).unwrap_or(u64::MAX)
}

/// The syntax: Jinja's own, and the last line break of a text is kept.
pub(crate) fn syntax() -> SyntaxConfig {
    static SYNTAX: LazyLock<SyntaxConfig> = LazyLock::new(|| {
        let mut builder = SyntaxConfig::builder();
        builder.keep_trailing_newline(true);
        builder.build().unwrap_or_default()
    });
    SYNTAX.clone()
}

fn base(missing: Missing, fuel: u64) -> Environment<'static> {
    let mut environment = Environment::new();
    environment.set_syntax(syntax());
    environment.set_fuel(Some(fuel));
    environment.set_recursion_limit(RECURSION_MAX);
    environment.set_auto_escape_callback(|_| AutoEscape::None);
    environment.set_undefined_behavior(match missing {
        Missing::Empty => UndefinedBehavior::Chainable,
        Missing::Error => UndefinedBehavior::SemiStrict,
    });
    // Errors name what was missing.
    environment.set_debug(true);
    environment.set_formatter(write);
    for name in LEFT_OUT_FILTERS {
        environment.remove_filter(name);
    }
    for name in LEFT_OUT_TESTS {
        environment.remove_test(name);
    }
    for name in LEFT_OUT_FUNCTIONS {
        environment.remove_global(name);
    }
    environment.add_filter("tojson", to_json);
    environment.add_filter("string", to_text);
    environment.add_filter("join", join);
    environment
}

fn json_of(state: &State<'_, '_>, value: &Value, indented: bool) -> Result<String, Error> {
    let text = output::text(value, indented)?;
    state.consume_fuel(fuel_for_json(text.len()))?;
    Ok(text)
}

/// Writes a value as JSON would, but texts without quotes and null as nothing.
fn write(out: &mut Output<'_>, state: &mut State<'_, '_>, value: &Value) -> Result<(), Error> {
    if let AutoEscape::Custom(name) = state.auto_escape().clone() {
        let text = text_of(state, value)?;
        return Ok(out.write_str(&escape::apply(&name, &text))?);
    }
    match value.kind() {
        ValueKind::String | ValueKind::Number => escape_formatter(out, state, value),
        ValueKind::None | ValueKind::Undefined => Ok(()),
        _ => {
            let text = text_of(state, value)?;
            escape_formatter(out, state, &Value::from(text))
        }
    }
}

/// The text of a value, as [`write`] writes it.
fn text_of(state: &State<'_, '_>, value: &Value) -> Result<String, Error> {
    match value.kind() {
        ValueKind::Undefined if state.undefined_behavior() != UndefinedBehavior::Chainable => {
            Err(Error::from(ErrorKind::UndefinedError))
        }
        ValueKind::None | ValueKind::Undefined => Ok(String::new()),
        ValueKind::String | ValueKind::Number => Ok(value.to_string()),
        _ => json_of(state, value, false),
    }
}

fn to_text(state: &State<'_, '_>, value: &Value) -> Result<Value, Error> {
    match value.kind() {
        ValueKind::String => Ok(value.clone()),
        _ => text_of(state, value).map(Value::from),
    }
}

fn to_json(state: &State<'_, '_>, value: &Value, indent: Option<bool>) -> Result<Value, Error> {
    if value.is_undefined() && state.undefined_behavior() != UndefinedBehavior::Chainable {
        return Err(Error::from(ErrorKind::UndefinedError));
    }
    let text = json_of(state, value, indent.unwrap_or(false))?;
    if *state.auto_escape() != AutoEscape::Html {
        return Ok(Value::from(text));
    }
    // JSON has other spellings for what HTML would take for its own.
    let mut safe = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '<' | '>' | '&' | '\'' => write!(safe, "\\u{:04x}", u32::from(letter))?,
            other => safe.push(other),
        }
    }
    Ok(Value::from_safe_string(safe))
}

fn join(state: &State<'_, '_>, value: &Value, joiner: Option<&str>) -> Result<Value, Error> {
    let joiner = joiner.unwrap_or_default();
    let mut joined = String::new();
    for (at, item) in value.try_iter()?.checked().enumerate() {
        if at > 0 {
            joined.push_str(joiner);
        }
        joined.push_str(&text_of(state, &item?)?);
        if joined.len() > OUTPUT_BYTES_MAX {
            return Err(output::too_long());
        }
    }
    Ok(Value::from(joined))
}
