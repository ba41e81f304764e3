//! The OpenAPI 3.1 document, made from the table of operations. Its keys are in a stable order, so that the committed
//! `openapi.json` can be compared byte by byte.

use schemars::{SchemaGenerator, generate::SchemaSettings};
use serde_json::{Map, Value, json};

use crate::{
    error::CODES,
    operation::{Operation, Repetition},
    problem::Problem,
};

/// The document.
pub(crate) fn document(operations: &[Operation]) -> Value {
    let settings = || {
        SchemaSettings::draft2020_12().with(|settings| {
            settings.definitions_path = "/components/schemas".into();
            settings.meta_schema = None;
        })
    };
    let mut requests = settings().into_generator();
    let mut answers = settings().for_serialize().into_generator();
    let mut paths = Map::new();
    for operation in operations {
        let described = describe(operation, &mut requests, &mut answers);
        let path = paths.entry(operation.path).or_insert_with(|| json!({}));
        path[operation.method.as_str().to_ascii_lowercase()] = described;
    }
    let problem = answers.subschema_for::<Problem>();
    let mut schemas = answers.take_definitions(true);
    schemas.extend(requests.take_definitions(true));
    schemas.insert("HTTPValidationError".to_owned(), problems_schema(&problem.to_value()));
    schemas.insert("HttpErrorOut".to_owned(), error_schema());
    let mut document = json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Bellwire",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "Sends webhooks: an event in, a signed POST out, nothing lost.",
            "license": { "name": "Apache-2.0", "identifier": "Apache-2.0" },
        },
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": { "token": { "type": "http", "scheme": "bearer" } },
        },
        "security": [{ "token": [] }],
    });
    document.sort_all_objects();
    document
}

fn describe(operation: &Operation, requests: &mut SchemaGenerator, answers: &mut SchemaGenerator) -> Value {
    let mut parameters = path_parameters(operation.path);
    parameters.extend(query_parameters(operation, requests));
    if operation.repetition != Repetition::Harmless {
        parameters.push(json!({
            "name": "idempotency-key", "in": "header", "required": false,
            "description": "The same key with the same body gets the first answer again, for 12 hours.",
            "schema": { "type": "string", "minLength": 1, "maxLength": 256 },
        }));
    }
    let answer = (operation.answer)(answers).map(schemars::Schema::to_value);
    let mut responses = Map::new();
    for status in operation.statuses {
        let mut response = json!({ "description": "Done." });
        if let Some(schema) = &answer {
            response["content"] = json!({ "application/json": { "schema": schema } });
        }
        responses.insert(status.to_string(), response);
    }
    let refused = |description: &str, schema: &str| {
        let schema = json!({ "$ref": format!("#/components/schemas/{schema}") });
        json!({ "description": description, "content": { "application/json": { "schema": schema } } })
    };
    responses.insert(
        "422".to_owned(),
        refused("The request is not as it must be.", "HTTPValidationError"),
    );
    responses.insert("default".to_owned(), refused("Refused or failed.", "HttpErrorOut"));
    let mut described = json!({
        "operationId": operation.id,
        "tags": [operation.tag],
        "summary": operation.summary,
        "parameters": parameters,
        "responses": responses,
    });
    if !operation.about.is_empty() {
        described["description"] = operation.about.into();
    }
    let scopes: Vec<_> = operation.access.scopes.iter().map(|scope| scope.as_str()).collect();
    if scopes.is_empty() {
        described["security"] = json!([]);
    } else {
        described["x-scopes"] = scopes.into();
    }
    if let Some(schema) = (operation.body)(requests) {
        let schema = schema.to_value();
        let required = insists(&schema, requests);
        let content = json!({ "application/json": { "schema": schema } });
        described["requestBody"] = json!({ "required": required, "content": content });
    }
    described
}

/// Whether something must be in a body: none at all counts as an empty object.
fn insists(schema: &Value, generator: &mut SchemaGenerator) -> bool {
    let name = schema["$ref"].as_str().and_then(|path| path.rsplit('/').next());
    let named = name.and_then(|name| generator.definitions().get(name));
    let required = named.unwrap_or(schema)["required"].as_array();
    required.is_some_and(|members| !members.is_empty())
}

fn path_parameters(path: &str) -> Vec<Value> {
    let names = path
        .split('/')
        .filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'));
    let parameter = |name: &str| {
        json!({
            "name": name, "in": "path", "required": true, "description": about_parameter(name),
            "schema": { "type": "string", "minLength": 1 },
        })
    };
    names.map(parameter).collect()
}

fn about_parameter(name: &str) -> &'static str {
    match name {
        "app_id" => {
            "The application's id or uid; `source:` and a source's id or uid is the application of that source."
        }
        "endpoint_id" => "The endpoint's id or uid.",
        "msg_id" => "The message's id or event id.",
        "attempt_id" => "The attempt's id.",
        "source_id" => "The source's id or uid.",
        "event_type_name" => "The event type's name.",
        "task_id" => "The task's id.",
        "token_id" => "The token's id.",
        _ => "",
    }
}

/// The members of the query's type, one parameter each.
fn query_parameters(operation: &Operation, generator: &mut SchemaGenerator) -> Vec<Value> {
    let Some(schema) = (operation.query)(generator).map(schemars::Schema::to_value) else {
        return Vec::new();
    };
    // Named types are references; they serve nothing else, so they are taken out of the document again.
    let name = schema
        .get("$ref")
        .and_then(Value::as_str)
        .and_then(|path| path.rsplit('/').next())
        .map(str::to_owned);
    let schema = name
        .and_then(|name| generator.definitions_mut().remove(&name))
        .unwrap_or(schema);
    let required: Vec<&str> = schema
        .get("required")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    let properties = schema
        .get("properties")
        .and_then(Value::as_object)
        .into_iter()
        .flatten();
    let parameter = |(name, schema): (&String, &Value)| {
        let mut schema = schema.clone();
        let about = schema
            .as_object_mut()
            .and_then(|object| object.remove("description"))
            .unwrap_or_default();
        let mut parameter = json!({
            "name": name, "in": "query", "required": required.contains(&name.as_str()), "schema": schema,
        });
        if about.is_string() {
            parameter["description"] = about;
        }
        if parameter["schema"].get("items").is_some() {
            parameter["explode"] = false.into();
        }
        parameter
    };
    properties.map(parameter).collect()
}

fn error_schema() -> Value {
    let codes: Vec<_> = CODES.iter().map(|code| code.code).collect();
    json!({
        "type": "object",
        "required": ["code", "detail", "docs"],
        "properties": {
            "code": { "type": "string", "enum": codes },
            "detail": { "type": "string", "description": "What is wrong, with which value, and what to do." },
            "docs": { "type": "string", "description": "The page of this code." },
            "messageId": { "type": "string", "description": "With `event_id_taken`: the first message." },
        },
    })
}

fn problems_schema(problem: &Value) -> Value {
    json!({
        "type": "object",
        "required": ["code", "detail", "docs"],
        "properties": {
            "code": { "type": "string" },
            "detail": { "type": "array", "items": problem },
            "docs": { "type": "string" },
        },
    })
}
