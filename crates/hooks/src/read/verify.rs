//! `verify`: by whose rules a request is trusted, and with which settings.

use std::collections::BTreeMap;

use bellwire_listen::{Form, Provider, Setting, Settings, SettingsError, Verifier, providers};

use crate::{
    finding::Path,
    nearest::nearest,
    reading::{Field, Reading, camel, listed, shorten, snake},
    yaml::{Node, Value},
};

/// What a source is, and its settings.
pub(super) type Source = (String, BTreeMap<String, Vec<String>>);

const PROVIDER: &str = "provider";

/// Reads `verify`: `none`, `{provider: NAME, …}`, or `{FORM: …}` with the settings of a form or provider.
pub(super) fn read<'a>(field: &Field<'a>, reading: &mut Reading<'a>) -> Option<Source> {
    if let Some(name) = field.node.written() {
        let provider = provider(name, field, reading)?;
        return judge(provider, Vec::new(), field, reading);
    }
    let table = reading.map(field.node, &field.path, "`verify`")?;
    if let Some(name) = table.get(PROVIDER) {
        let text = reading.text(&name)?;
        let provider = provider(text, &name, reading)?;
        let settings = table.fields().filter(|(name, _)| *name != PROVIDER).collect();
        return judge(provider, settings, field, reading);
    }
    let mut forms = table.fields();
    let (Some((name, form)), None) = (forms.next(), forms.next()) else {
        let advice =
            "write `{provider: NAME, secret: …}`, or one form such as `{hmac: {…}}`; `none` when nothing is verified";
        reading.wrong(field, "it does not say by whose rules", advice);
        return None;
    };
    let at_name = Field {
        node: form.node,
        ..form.clone()
    };
    let provider = provider_at(name, &at_name, reading)?;
    match &form.node.value {
        Value::Map(_) => {
            let settings = reading.map(form.node, &form.path, "a form")?;
            judge(provider, settings.fields().collect(), &form, reading)
        }
        Value::Null => judge(provider, Vec::new(), &form, reading),
        // One value, or a list of them, is the key: `{bearer: TOKEN}`, `{ip: [192.0.2.0/24]}`.
        _ => {
            let Some(key) = provider.settings.first() else {
                reading.wrong(&form, format!("`{name}` takes no settings"), "");
                return None;
            };
            judge(provider, vec![(key.name, form.clone())], &form, reading)
        }
    }
}

fn provider<'a>(name: &str, field: &Field<'a>, reading: &mut Reading<'a>) -> Option<&'static Provider> {
    known(name).or_else(|| {
        let (what, advice) = unknown(name);
        reading.wrong(field, what, advice);
        None
    })
}

fn provider_at<'a>(name: &str, field: &Field<'a>, reading: &mut Reading<'a>) -> Option<&'static Provider> {
    known(name).or_else(|| {
        let (what, advice) = unknown(name);
        reading.find(field.name_at, &field.path, what, advice);
        None
    })
}

fn known(name: &str) -> Option<&'static Provider> {
    // As the schema has them; on the command line they are taken in any case.
    let is_plain = !name
        .bytes()
        .any(|byte| byte.is_ascii_uppercase() || byte.is_ascii_whitespace());
    let written = is_plain.then(|| name.replace('_', "-"))?;
    providers::by_name(&written).ok()
}

fn unknown(name: &str) -> (String, String) {
    let names: Vec<&str> = providers::all()
        .flat_map(|provider| provider.aliases.iter().copied().chain([provider.name]))
        .collect();
    let advice = match nearest(name, names.iter().copied()) {
        Some(meant) => format!("did you mean `{meant}`?"),
        None => "docs/providers.md has the table, and the form `hmac` and its like are for others".to_owned(),
    };
    (format!("no provider or form is called `{}`", shorten(name)), advice)
}

/// Reads the settings, and whether they verify anything.
fn judge<'a>(
    provider: &'static Provider,
    given: Vec<(&'a str, Field<'a>)>,
    whole: &Field<'a>,
    reading: &mut Reading<'a>,
) -> Option<Source> {
    let mut settings = BTreeMap::new();
    let mut places: BTreeMap<&str, Field<'a>> = BTreeMap::new();
    let mut is_whole = true;
    for (written, field) in given {
        let setting = provider.settings.iter().find(|setting| setting.name == camel(written));
        let Some(setting) = setting else {
            let known: Vec<String> = provider.settings.iter().map(|setting| snake(setting.name)).collect();
            let known: Vec<&str> = known.iter().map(String::as_str).collect();
            reading.unknown(
                &field,
                format!("`{}` has no setting `{}`", provider.name, shorten(written)),
                written,
                &known,
            );
            is_whole = false;
            continue;
        };
        match texts(setting, &field, reading) {
            Some(texts) => {
                settings.insert(setting.name.to_owned(), texts);
                places.insert(setting.name, field);
            }
            None => is_whole = false,
        }
    }
    if !is_whole {
        return None;
    }
    if let (Some(field), None) = (places.get("tolerance"), settings.get("ts"))
        && provider.settings.iter().any(|setting| setting.name == "ts")
    {
        let advice = "say where the time of signing stands, such as `ts: \"header:x-timestamp\"`";
        reading.wrong(field, "`tolerance` is about `ts`, and there is none", advice);
        return None;
    }
    let mut all = Settings::new();
    for (name, values) in &settings {
        for value in values {
            all.add(name, value.as_str());
        }
    }
    let error = match Verifier::new(provider, all) {
        Ok(_) => return Some((provider.name.to_owned(), settings)),
        Err(error) => error,
    };
    let about = match &error {
        SettingsError::Empty { name } | SettingsError::Value { name, .. } => places.get(name),
        SettingsError::Provider(_) | SettingsError::Unknown { .. } | SettingsError::Missing { .. } => None,
    };
    let what = match &error {
        SettingsError::Missing { provider, name, about } => {
            format!("`{provider}` needs `{}`: {about}", snake(name))
        }
        other => other.to_string(),
    };
    reading.wrong(about.unwrap_or(whole), what, "");
    None
}

/// The values of a setting. A JSON Web Key may be written out as a map.
fn texts<'a>(setting: &Setting, field: &Field<'a>, reading: &mut Reading<'a>) -> Option<Vec<String>> {
    if field.node.is_unknown() {
        return None;
    }
    if setting.form != Form::Jwk {
        let texts = reading.texts(field)?;
        if let Some(name) = bare_reference(field) {
            let what = format!("`${name}` is taken as it stands");
            reading.wrong(field, what, format!("did you mean `${{{name}}}`?"));
            return None;
        }
        return Some(texts.into_iter().map(str::to_owned).collect());
    }
    let written_out = |node: &Node| matches!(node.value, Value::Map(_)).then(|| node.to_json().to_string());
    if let Some(json) = written_out(field.node) {
        return Some(vec![json]);
    }
    if let Value::List(items) = &field.node.value
        && items.iter().all(|item| matches!(item.value, Value::Map(_)))
        && !items.is_empty()
    {
        return Some(items.iter().filter_map(written_out).collect());
    }
    let texts = reading.texts(field)?;
    Some(texts.into_iter().map(str::to_owned).collect())
}

/// The name in `$NAME`, which a shell would replace and this file does not: a secret that everybody knows.
fn bare_reference<'a>(field: &Field<'a>) -> Option<&'a str> {
    let nodes = match &field.node.value {
        Value::List(items) => items.as_slice(),
        _ => std::slice::from_ref(field.node),
    };
    nodes.iter().find_map(|node| {
        let Value::Text(text) = &node.value else { return None };
        let name = text.text.strip_prefix('$').filter(|_| text.references.is_empty())?;
        let is_name = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_';
        (!name.is_empty() && name.bytes().all(is_name)).then_some(name)
    })
}

/// Says that nobody wrote how requests are trusted.
pub(super) fn missing(at: crate::Mark, path: &Path, reading: &mut Reading<'_>, origins: &[&str]) {
    reading.find(
        at,
        path,
        "it does not say where messages come from, or how they are trusted",
        format!(
            "write {}; `verify: none` believes whoever knows the URL",
            listed(origins)
        ),
    );
}
