//! Which messages come to an endpoint, and in which shape: the members `filter`, `transformation`, `format` and `throttle`.

use std::time::Duration;

use bellwire_core::{
    endpoint::{Endpoint, Format, Throttle},
    time::{format_span, span::Span},
};
use bellwire_template::{Escape, Expression, Missing, Template, TemplateError, Transformation};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    error::ApiError,
    field::{Patch, SpanText},
    problem::Problem,
};

/// The shortest and the longest span of a throttle. It is kept in memory only, so longer ones would promise too much.
const EVERY: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(7 * 86_400)];

/// What a payload is written as.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(rename = "EndpointFormat")]
pub(in crate::routes) enum FormatName {
    /// The bytes as they came, or as the transformation wrote them.
    Json,
    /// An XML document.
    Xml,
    /// `application/x-www-form-urlencoded`.
    Form,
    /// A CloudEvent whose attributes are headers.
    CloudeventsBinary,
    /// A CloudEvent as one JSON document.
    CloudeventsStructured,
}

impl From<FormatName> for Format {
    fn from(name: FormatName) -> Self {
        match name {
            FormatName::Json => Self::Json,
            FormatName::Xml => Self::Xml,
            FormatName::Form => Self::Form,
            FormatName::CloudeventsBinary => Self::CloudeventsBinary,
            FormatName::CloudeventsStructured => Self::CloudeventsStructured,
        }
    }
}

impl From<Format> for FormatName {
    fn from(format: Format) -> Self {
        match format {
            Format::Json => Self::Json,
            Format::Xml => Self::Xml,
            Format::Form => Self::Form,
            Format::CloudeventsBinary => Self::CloudeventsBinary,
            Format::CloudeventsStructured => Self::CloudeventsStructured,
        }
    }
}

/// At most one message of a kind in a span of time.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(rename = "EndpointThrottleIn")]
pub(in crate::routes) struct ThrottleIn {
    /// A template that says what is of a kind; all messages are when left out.
    key: Option<String>,
    /// The span of time, counted from the last message that was acted upon.
    every: SpanText,
}

/// At most one message of a kind in a span of time.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "EndpointThrottleOut")]
pub(in crate::routes) struct ThrottleOut {
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<String>,
    every: SpanText,
}

impl From<&Throttle> for ThrottleOut {
    fn from(throttle: &Throttle) -> Self {
        Self {
            key: throttle.key.as_deref().map(str::to_owned),
            every: SpanText(throttle.every.0),
        }
    }
}

/// What is asked of an endpoint's messages; what is left out stays as it is.
#[derive(Debug, Default)]
pub(super) struct Shape {
    pub filter: Patch<String>,
    pub transformation: Patch<String>,
    pub format: Option<FormatName>,
    pub throttle: Patch<ThrottleIn>,
}

impl Shape {
    /// Makes the change.
    ///
    /// # Errors
    /// `validation_failed`, with line and column in what does not compile; nothing is changed then.
    pub fn apply(self, endpoint: &mut Endpoint) -> Result<(), ApiError> {
        if let Patch::Set(text) = &self.filter {
            compiles(["filter"], text, |text| {
                Expression::compile(text, Missing::Empty).map(drop)
            })?;
        }
        if let Patch::Set(text) = &self.transformation {
            check_transformation("transformation", text)?;
        }
        let throttle = match self.throttle {
            Patch::Set(throttle) => Patch::Set(checked(throttle)?),
            Patch::Clear => Patch::Clear,
            Patch::Keep => Patch::Keep,
        };
        let workflow = &mut endpoint.workflow;
        if !matches!(self.transformation, Patch::Keep) {
            workflow.transformation_off = false;
        }
        self.filter.map(Into::into).apply(&mut workflow.filter);
        self.transformation.map(Into::into).apply(&mut workflow.transformation);
        throttle.apply(&mut workflow.throttle);
        workflow.format = self.format.map_or(workflow.format, Into::into);
        Ok(())
    }
}

/// Whether a transformation can be used; `member` is what the client called it.
///
/// # Errors
/// `validation_failed`.
pub(super) fn check_transformation(member: &str, text: &str) -> Result<(), ApiError> {
    compiles([member], text, |text| Transformation::compile(text).map(drop))
}

fn compiles<const N: usize>(
    path: [&str; N],
    text: &str,
    compile: impl Fn(&str) -> Result<(), TemplateError>,
) -> Result<(), ApiError> {
    let refuse = |msg: String| ApiError::invalid(Problem::body(path, msg));
    if text.trim().is_empty() {
        return Err(refuse("is empty; give null for none".to_owned()));
    }
    compile(text).map_err(|error| refuse(error.to_string()))
}

fn checked(throttle: ThrottleIn) -> Result<Throttle, ApiError> {
    if let Some(key) = &throttle.key {
        compiles(["throttle", "key"], key, |text| {
            Template::compile(text, Escape::None, Missing::Empty).map(drop)
        })?;
    }
    let SpanText(every) = throttle.every;
    let [least, most] = EVERY;
    if every < least || every > most {
        let msg = format!("give {} to {}", format_span(least), format_span(most));
        return Err(ApiError::invalid(Problem::body(["throttle", "every"], msg)));
    }
    Ok(Throttle {
        key: throttle.key.map(Into::into),
        every: Span(every),
    })
}

/// Whether all settings of an endpoint may stand beside each other.
///
/// # Errors
/// `validation_failed`.
pub(super) fn fits_together(endpoint: &Endpoint) -> Result<(), ApiError> {
    let workflow = &endpoint.workflow;
    let posts = endpoint.action.is_http() && endpoint.action.settings.is_none();
    let refuse = |member: &str, msg: &str| Err(ApiError::invalid(Problem::body([member], msg)));
    if workflow.format != Format::Json && !posts {
        return refuse(
            "format",
            "is for endpoints that post messages to their `url`; here `action` says what is sent",
        );
    }
    if endpoint.batch.is_none() {
        return Ok(());
    }
    let alone = [
        ("transformation", workflow.transformation.is_some()),
        ("format", workflow.format != Format::Json),
        ("throttle", workflow.throttle.is_some()),
        ("action", !posts),
    ];
    match alone.iter().find(|(_, set)| *set) {
        Some((member, _)) => {
            let msg = format!("a batch carries messages as they were published; leave out `batch` or `{member}`");
            refuse("batch", &msg)
        }
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use bellwire_core::{
        batch::{BatchFormat, BatchSettings},
        id::Id as _,
    };
    use serde_json::{Value, json};

    use super::*;

    fn endpoint() -> Endpoint {
        super::super::blank_of(
            bellwire_core::id::AppId::from_number(1),
            bellwire_core::id::Id::from_number(2),
        )
    }

    fn refused(shape: Shape) -> String {
        let mut endpoint = endpoint();
        let error = shape.apply(&mut endpoint).unwrap_err();
        assert_eq!(endpoint.workflow, Default::default(), "nothing was changed");
        format!("{error:?}")
    }

    #[test]
    fn what_does_not_compile_says_where() {
        let filter = |text: &str| {
            refused(Shape {
                filter: Patch::Set(text.to_owned()),
                ..Shape::default()
            })
        };
        assert!(filter("a > ").contains("column"), "{}", filter("a > "));
        assert!(filter(" ").contains("give null"));
        let transformation = refused(Shape {
            transformation: Patch::Set("{\"a\": {{ b|shout }}}".to_owned()),
            ..Shape::default()
        });
        assert!(
            transformation.contains("there is no filter `shout`"),
            "{transformation}"
        );
    }

    #[test]
    fn a_throttle_has_a_span_and_perhaps_a_key() {
        let throttle = |body: Value| checked(serde_json::from_value(body).unwrap());
        let made = throttle(json!({"key": "{{ host }}", "every": "15m"})).unwrap();
        assert_eq!((made.key.as_deref(), made.every.0.as_secs()), (Some("{{ host }}"), 900));
        assert!(throttle(json!({"every": "10ms"})).is_err() && throttle(json!({"every": "30d"})).is_err());
        assert!(throttle(json!({"every": "1h", "key": "{{"})).is_err());
    }

    #[test]
    fn batches_carry_messages_as_they_are() {
        let mut endpoint = Endpoint {
            batch: Some(BatchSettings {
                messages_max: 2,
                wait: Span(Duration::ZERO),
                format: BatchFormat::Json,
            }),
            ..endpoint()
        };
        assert!(fits_together(&endpoint).is_ok());
        endpoint.workflow.filter = Some("a".into());
        assert!(fits_together(&endpoint).is_ok(), "a filter is asked before");
        endpoint.workflow.transformation = Some("1".into());
        assert!(fits_together(&endpoint).is_err());
        endpoint.batch = None;
        assert!(fits_together(&endpoint).is_ok());
        endpoint.action.kind = "email".into();
        endpoint.workflow.format = Format::Xml;
        assert!(fits_together(&endpoint).is_err());
    }
}
