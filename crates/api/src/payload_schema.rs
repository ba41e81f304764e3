//! Does a payload fit the JSON Schema of its event type?
//!
//! Asked at publishing when the application, or else its environment, wants it. Compiled schemas are kept per event type and
//! version of it. Schemas that refer to other documents are not followed: nothing is fetched.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use bellwire_core::{app::App, event_type::EventType, id::EnvironmentId, time::Timestamp};
use bellwire_store::Directory;
use jsonschema::Validator;
use serde_json::Value;

use crate::{
    error::{ApiError, PAYLOAD_INVALID},
    problem::Problem,
};

/// Most problems that one answer names.
const PROBLEMS_MAX: usize = 20;

/// Compiled schemas.
#[derive(Debug, Default)]
pub struct Validators(Mutex<HashMap<(EnvironmentId, String), Compiled>>);

/// A schema and when its event type last changed.
type Compiled = (Timestamp, Arc<Validator>);

/// Asked before something else than a request publishes to an application; what is wrong, in words.
///
/// Its compiled schemas are its own.
pub fn payload_check(directory: Arc<Directory>) -> impl Fn(&App, &str, &str) -> Result<(), String> + Send + Sync {
    let validators = Validators::default();
    move |app, event_type, payload| {
        let Some(event_type) = wanted(&directory, app, event_type) else {
            return Ok(());
        };
        match validators.problems(&event_type, payload) {
            Ok(problems) if problems.is_empty() => Ok(()),
            Ok(problems) => Err(in_words(&problems)),
            Err(why) => Err(why),
        }
    }
}

fn in_words(problems: &[Problem]) -> String {
    let words = problems
        .iter()
        .map(|problem| format!("{}: {}", problem.loc[1..].join("."), problem.msg));
    words.collect::<Vec<_>>().join("; ")
}

/// The event type whose schema the payloads of this application have to fit, where that is wanted.
pub(crate) fn wanted(directory: &Directory, app: &App, event_type: &str) -> Option<Arc<EventType>> {
    let of_environment = || {
        let environment = directory.environment(app.environment);
        environment.is_some_and(|it| it.validate_payloads)
    };
    let is_wanted = app.validate_payloads.unwrap_or_else(of_environment);
    is_wanted
        .then(|| directory.event_type(app.environment, event_type))
        .flatten()
}

impl Validators {
    /// Refuses a payload that does not fit. An event type without a schema fits everything.
    ///
    /// # Errors
    /// `payload_invalid`, with the path of each thing that is wrong.
    pub fn check(&self, event_type: &EventType, payload: &str) -> Result<(), ApiError> {
        match self.problems(event_type, payload) {
            Ok(problems) if problems.is_empty() => Ok(()),
            Ok(problems) => Err(ApiError::problems(&PAYLOAD_INVALID, problems)),
            Err(why) => Err(ApiError::internal(format_args!("{why}"))),
        }
    }

    /// What is wrong with a payload; an error when the schema cannot be used.
    fn problems(&self, event_type: &EventType, payload: &str) -> Result<Vec<Problem>, String> {
        let Some(schema) = event_type.current_schema() else {
            return Ok(Vec::new());
        };
        let validator = self.compiled(event_type, schema)?;
        let value: Value = match serde_json::from_str(payload) {
            Ok(value) => value,
            Err(error) => return Ok(vec![Problem::body(["payload"], format!("cannot be checked: {error}"))]),
        };
        if validator.is_valid(&value) {
            return Ok(Vec::new());
        }
        let problems = validator.iter_errors(&value).take(PROBLEMS_MAX).map(|error| {
            let place = error.instance_path().to_string();
            let path = std::iter::once("payload").chain(place.split('/').skip(1));
            Problem::at("body", path, "schema_error", error.to_string())
        });
        Ok(problems.collect())
    }

    fn compiled(&self, event_type: &EventType, schema: &Value) -> Result<Arc<Validator>, String> {
        let key = (event_type.environment, event_type.name.clone());
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner).get(&key).cloned();
        if let Some((_, validator)) = known.filter(|(version, _)| *version == event_type.updated_at) {
            return Ok(validator);
        }
        let broken = |error| format!("schema of event type {}: {error}", event_type.name);
        let validator = Arc::new(compile(schema).map_err(broken)?);
        let entry = (event_type.updated_at, Arc::clone(&validator));
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(key, entry);
        Ok(validator)
    }
}

fn compile(schema: &Value) -> Result<Validator, String> {
    jsonschema::options().build(schema).map_err(|error| error.to_string())
}

/// Why a text is not a usable JSON Schema: asked when an event type is saved.
///
/// # Errors
/// In words.
pub fn check_schema(schema: &Value) -> Result<(), String> {
    if !schema.is_object() {
        return Err("a JSON Schema is an object".to_owned());
    }
    compile(schema).map(drop)
}
