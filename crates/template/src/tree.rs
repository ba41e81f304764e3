//! Templates of JSON: a value whose strings are templates.

use serde_json::{Map, Value as JsonValue};

use crate::{
    Escape, Expression, MessageScope, Missing, Reason, Template, TemplateError, language::Shape, output::Room,
};

/// How deep the value may be nested.
const DEPTH_MAX: usize = 64;

/// A compiled JSON template. A string that is exactly one `{{ expression }}` becomes the expression's value with its type;
/// any other string stays a string. Names of members are taken as they are.
#[derive(Debug)]
pub struct JsonTemplate {
    root: Node,
}

#[derive(Debug)]
enum Node {
    Constant(JsonValue),
    Value(Expression),
    Text(Template),
    List(Vec<Node>),
    Object(Vec<(String, Node)>),
}

impl JsonTemplate {
    /// Compiles a value.
    ///
    /// # Errors
    /// Those of [`Template::compile`], with the place as a JSON pointer.
    pub fn compile(value: &JsonValue, missing: Missing) -> Result<Self, TemplateError> {
        let root = compile(value, missing, &mut Vec::new())?;
        Ok(Self { root })
    }

    /// The value for this message.
    ///
    /// # Errors
    /// Those of [`Template::render`], with the place as a JSON pointer. All strings and values together are bounded as a
    /// template's output is.
    pub fn render(&self, scope: &MessageScope<'_>) -> Result<JsonValue, TemplateError> {
        render(&self.root, scope, &mut Room::default(), &mut Vec::new())
    }
}

/// Where we are: the names and numbers that lead here.
type Place = Vec<String>;

fn at(place: &Place, error: TemplateError) -> TemplateError {
    if place.is_empty() {
        return error;
    }
    let pointer: String = place
        .iter()
        .flat_map(|step| ["/".to_owned(), step.replace('~', "~0").replace('/', "~1")])
        .collect();
    error.within(&pointer)
}

fn compile(value: &JsonValue, missing: Missing, place: &mut Place) -> Result<Node, TemplateError> {
    if place.len() > DEPTH_MAX {
        let what = format!("nested deeper than {DEPTH_MAX}");
        return Err(at(place, TemplateError::whole("", Reason::Refused, what)));
    }
    let mut inside = |step: String, value: &JsonValue| {
        place.push(step);
        let node = compile(value, missing, place);
        place.pop();
        node
    };
    match value {
        JsonValue::Array(items) => {
            let items = items.iter().enumerate();
            let nodes: Result<_, _> = items.map(|(at, item)| inside(at.to_string(), item)).collect();
            nodes.map(Node::List)
        }
        JsonValue::Object(members) => {
            let members = members.iter();
            let nodes: Result<_, _> = members
                .map(|(name, member)| Ok((name.clone(), inside(name.clone(), member)?)))
                .collect();
            nodes.map(Node::Object)
        }
        JsonValue::String(text) if text.contains('{') => string(text, missing).map_err(|error| at(place, error)),
        constant => Ok(Node::Constant(constant.clone())),
    }
}

fn string(text: &str, missing: Missing) -> Result<Node, TemplateError> {
    let template = Template::compile(text, Escape::None, missing)?;
    match template.shape() {
        Shape::Single(expression) => {
            let expression = text.get(expression.clone()).unwrap_or_default();
            Expression::compile(expression, missing).map(Node::Value)
        }
        Shape::Mixed => Ok(Node::Text(template)),
    }
}

fn render(
    node: &Node,
    scope: &MessageScope<'_>,
    room: &mut Room,
    place: &mut Place,
) -> Result<JsonValue, TemplateError> {
    let full = |error: minijinja::Error| TemplateError::of_engine("", &error);
    match node {
        Node::Constant(value) => Ok(value.clone()),
        Node::Value(expression) => expression
            .value(scope)
            .and_then(|value| expression.to_json(&value, room))
            .map_err(|error| at(place, error)),
        Node::Text(template) => {
            let text = template.render(scope).map_err(|error| at(place, error))?;
            room.take(text.len()).map_err(full)?;
            Ok(JsonValue::String(text))
        }
        Node::List(nodes) => {
            let mut items = Vec::with_capacity(nodes.len());
            for (number, node) in nodes.iter().enumerate() {
                place.push(number.to_string());
                items.push(render(node, scope, room, place)?);
                place.pop();
            }
            Ok(JsonValue::Array(items))
        }
        Node::Object(nodes) => {
            let mut members = Map::new();
            for (name, node) in nodes {
                place.push(name.clone());
                members.insert(name.clone(), render(node, scope, room, place)?);
                place.pop();
            }
            Ok(JsonValue::Object(members))
        }
    }
}
