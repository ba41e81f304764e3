//! Does a payload fit the JSON Schema of its event type?
//!
//! Asked at publishing when the application, or else its environment, wants it. Compiled schemas are kept per event type and
//! version of it. Schemas that refer to other documents are not followed: nothing is fetched.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use bellwire_core::{event_type::EventType, id::EnvironmentId, time::Timestamp};
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

impl Validators {
    /// Refuses a payload that does not fit. An event type without a schema fits everything.
    ///
    /// # Errors
    /// `payload_invalid`, with the path of each thing that is wrong.
    pub fn check(&self, event_type: &EventType, payload: &str) -> Result<(), ApiError> {
        let Some(schema) = event_type.current_schema() else {
            return Ok(());
        };
        let validator = self.compiled(event_type, schema)?;
        let too_deep = |error| ApiError::invalid(Problem::body(["payload"], format!("cannot be checked: {error}")));
        let value: Value = serde_json::from_str(payload).map_err(too_deep)?;
        if validator.is_valid(&value) {
            return Ok(());
        }
        let problems = validator.iter_errors(&value).take(PROBLEMS_MAX).map(|error| {
            let place = error.instance_path().to_string();
            let path = std::iter::once("payload").chain(place.split('/').skip(1));
            Problem::at("body", path, "schema_error", error.to_string())
        });
        Err(ApiError::problems(&PAYLOAD_INVALID, problems.collect()))
    }

    fn compiled(&self, event_type: &EventType, schema: &Value) -> Result<Arc<Validator>, ApiError> {
        let key = (event_type.environment, event_type.name.clone());
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner).get(&key).cloned();
        if let Some((_, validator)) = known.filter(|(version, _)| *version == event_type.updated_at) {
            return Ok(validator);
        }
        let broken = |error| ApiError::internal(format_args!("schema of event type {}: {error}", event_type.name));
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
