//! Transformations: what an endpoint makes of a payload before it is sent.

use serde_json::{Value as JsonValue, value::RawValue};

use crate::{Escape, JsonTemplate, MessageScope, Missing, Reason, TEMPLATE_BYTES_MAX, Template, TemplateError, decode};

/// A compiled transformation. Its output is JSON.
///
/// A text that is JSON is a template of JSON, whose strings are templates; any other text is a template that writes JSON.
#[derive(Debug)]
pub struct Transformation(Kind);

#[derive(Debug)]
enum Kind {
    Value(JsonTemplate),
    Text(Template),
}

impl Transformation {
    /// Compiles a transformation. A member that a message does not have is an error when it is written.
    ///
    /// # Errors
    /// Those of [`JsonTemplate::compile`] and [`Template::compile`].
    pub fn compile(text: &str) -> Result<Self, TemplateError> {
        if text.len() > TEMPLATE_BYTES_MAX {
            let what = format!(
                "a transformation has at most {TEMPLATE_BYTES_MAX} bytes, and this one has {}",
                text.len()
            );
            return Err(TemplateError::whole(text, Reason::Refused, what));
        }
        if serde_json::from_str::<&RawValue>(text).is_ok() {
            decode("application/json", text.as_bytes())
                .map_err(|error| TemplateError::whole(text, Reason::Refused, error.to_string()))?;
            return Ok(Self(Kind::Value(JsonTemplate::read(text, Missing::Error)?)));
        }
        Template::compile(text, Escape::None, Missing::Error).map(|template| Self(Kind::Text(template)))
    }

    /// The JSON that is sent in the place of this message's payload.
    ///
    /// # Errors
    /// Those of [`Template::render`], and `Value` when what was written is not JSON.
    pub fn apply(&self, scope: &MessageScope<'_>) -> Result<String, TemplateError> {
        match &self.0 {
            Kind::Value(template) => template.text(scope),
            Kind::Text(template) => {
                let written = template.render(scope)?;
                let json = written.trim();
                if json.is_empty() {
                    let what = "writes nothing; it has to write JSON";
                    return Err(TemplateError::whole(template.text(), Reason::Value, what));
                }
                decode("application/json", json.as_bytes()).map_err(|error| not_json(template.text(), json, &error))?;
                Ok(json.to_owned())
            }
        }
    }
}

fn not_json(template: &str, written: &str, error: &crate::DecodeError) -> TemplateError {
    const CHARS: usize = 60;
    let beginning: String = written.chars().take(CHARS).collect();
    let what = format!(
        "does not write JSON: {}; write values with `|tojson`; it wrote {}",
        error.to_string().trim_start_matches("the body is no JSON: "),
        JsonValue::from(beginning)
    );
    TemplateError::whole(template, Reason::Value, what)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAYLOAD: &[u8] =
        br#"{"id": "in_7", "amount": 250, "lines": [{"sku": "a", "n": 2}, {"sku": "b", "n": 3}], "note": "\"hi\""}"#;

    fn apply(text: &str) -> Result<String, TemplateError> {
        let scope = MessageScope::new("invoice.paid", &[], PAYLOAD).with_message_id("msg_1");
        Transformation::compile(text)?.apply(&scope)
    }

    #[test]
    fn a_value_keeps_its_order_its_types_and_its_numbers() {
        let made = apply(
            r#"{"z": "{{ amount }}", "a": ["{{ id }}", "no. {{ id }}", 1.50, 1e400], "b": {"text": "{{ note }}"}}"#,
        );
        assert_eq!(
            made.as_deref(),
            Ok(r#"{"z":250,"a":["in_7","no. in_7",1.50,1e400],"b":{"text":"\"hi\""}}"#)
        );
        assert_eq!(
            apply("\"{{ lines }}\"").as_deref(),
            Ok(r#"[{"n":2,"sku":"a"},{"n":3,"sku":"b"}]"#)
        );
    }

    #[test]
    fn a_text_writes_json() {
        let text = "{% set first = lines|first %}\n{\"skus\": [{% for line in lines %}{{ line.sku|tojson }}{% if not loop.last %}, {% endif %}{% endfor %}]}\n";
        assert_eq!(apply(text).as_deref(), Ok(r#"{"skus": ["a", "b"]}"#));
        assert_eq!(
            apply("{{ body|tojson }}").unwrap().parse::<JsonValue>().unwrap()["amount"],
            250
        );
    }

    #[test]
    fn what_is_not_json_and_what_is_missing_is_an_error_that_shows_it() {
        let error = apply("{\"id\": {{ id }}}").unwrap_err();
        assert_eq!(error.reason, Reason::Value);
        assert_eq!(
            error.what,
            r#"does not write JSON: expected value at line 1 column 8; write values with `|tojson`; it wrote "{\"id\": in_7}""#
        );
        assert!(
            apply("{% if amount > 1000 %}1{% endif %}")
                .unwrap_err()
                .what
                .contains("writes nothing")
        );
        let error = apply(r#"{"a": {"b": "{{ nowhere.at.all }}"}}"#).unwrap_err();
        assert_eq!(error.reason, Reason::Missing);
        assert!(error.what.starts_with("at /a/b: "), "{error}");
    }

    #[test]
    fn what_cannot_be_compiled_is_refused_with_its_place() {
        let error = Transformation::compile("{\"a\": {{ id|shout }}}").unwrap_err();
        assert!(
            error.what.starts_with("there is no filter `shout`") && error.column > 7,
            "{error}"
        );
        assert!(Transformation::compile(r#"{"a": 1, "a": 2}"#).is_err());
        assert!(Transformation::compile(&"x".repeat(TEMPLATE_BYTES_MAX + 1)).is_err());
    }

    #[test]
    fn one_that_runs_away_is_stopped() {
        let run_away = "[{% for a in lines %}{% for b in lines %}{% for c in lines %}{% for d in lines %}{% for e in lines %}{% for f in lines %}{% for g in lines %}{% for h in lines %}{% for i in lines %}{% for j in lines %}{% for k in lines %}{% for l in lines %}{% for m in lines %}{% for n in lines %}{% for o in lines %}{% for p in lines %}{% for q in lines %}{% for r in lines %}1,{% endfor %}{% endfor %}{% endfor %}{% endfor %}{% endfor %}{% endfor %}{% endfor %}{% endfor %}{% endfor %}{% endfor %}{% endfor %}{% endfor %}{% endfor %}{% endfor %}{% endfor %}{% endfor %}{% endfor %}{% endfor %}1]";
        assert_eq!(apply(run_away).unwrap_err().reason, Reason::Exhausted);
    }
}
