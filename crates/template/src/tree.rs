//! Templates of JSON: a value whose strings are templates.

use serde_json::Value as JsonValue;

use crate::{
    Escape, MessageScope, Missing, Reason, TEMPLATES_MAX, Template, TemplateError,
    language::Shape,
    lone::Lone,
    output::Room,
    template::judge,
    tokens::{Token, Tokens},
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
    /// JSON, as it was written.
    Constant(Box<str>),
    Value(Lone),
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
        if is_too_deep(value) {
            let what = format!("nested deeper than {DEPTH_MAX}");
            return Err(TemplateError::whole("", Reason::Refused, what));
        }
        Self::read(&value.to_string(), missing)
    }

    /// Compiles a text that is known to be JSON. Members keep their order, numbers are as they are written.
    pub(crate) fn read(text: &str, missing: Missing) -> Result<Self, TemplateError> {
        let mut tokens = Tokens::new(text);
        let first = tokens.next().unwrap_or(Token::Null);
        let mut compiler = Compiler {
            tokens,
            missing,
            place: Vec::new(),
            templates: 0,
        };
        let root = compiler.node(first)?;
        Ok(Self { root })
    }

    /// The value for this message.
    ///
    /// # Errors
    /// Those of [`Template::render`], with the place as a JSON pointer. All strings and values together are bounded as a
    /// template's output is.
    pub fn render(&self, scope: &MessageScope<'_>) -> Result<JsonValue, TemplateError> {
        let text = self.text(scope)?;
        serde_json::from_str(&text).map_err(|error| TemplateError::whole(&text, Reason::Value, error.to_string()))
    }

    /// The value for this message as JSON text.
    ///
    /// # Errors
    /// Those of [`Self::render`].
    pub(crate) fn text(&self, scope: &MessageScope<'_>) -> Result<String, TemplateError> {
        let mut text = String::new();
        render(&self.root, scope, &mut text, &mut Room::default(), &mut Vec::new())?;
        Ok(text)
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

/// Whether a text has anything of the template language in it.
pub fn is_template(text: &str) -> bool {
    ["{{", "{%", "{#"].iter().any(|mark| text.contains(mark))
}

struct Compiler<'a> {
    tokens: Tokens<'a>,
    missing: Missing,
    place: Place,
    /// How many there are so far.
    templates: usize,
}

impl Compiler<'_> {
    /// Compiles the value that begins with this token; the rest of it follows.
    fn node(&mut self, token: Token<'_>) -> Result<Node, TemplateError> {
        if self.place.len() > DEPTH_MAX {
            return Err(self.refused(format!("nested deeper than {DEPTH_MAX}")));
        }
        match token {
            Token::OpenList => {
                let mut nodes = Vec::new();
                while let Some(token) = self.tokens.next().filter(|token| *token != Token::Close) {
                    self.place.push(nodes.len().to_string());
                    nodes.push(self.node(token)?);
                    self.place.pop();
                }
                Ok(Node::List(nodes))
            }
            Token::OpenObject => {
                let mut nodes = Vec::new();
                while let Some(Token::Name(name)) = self.tokens.next() {
                    let name = name.into_owned();
                    self.place.push(name.clone());
                    let value = self.tokens.next().unwrap_or(Token::Null);
                    nodes.push((name, self.node(value)?));
                    self.place.pop();
                }
                Ok(Node::Object(nodes))
            }
            Token::Text(text) if is_template(&text) => self.template(&text),
            Token::Text(text) | Token::Name(text) => Ok(Node::Constant(quoted(&text).into())),
            Token::Number(number) => Ok(Node::Constant(number.into())),
            Token::Bool(true) => Ok(Node::Constant("true".into())),
            Token::Bool(false) => Ok(Node::Constant("false".into())),
            Token::Null | Token::Close => Ok(Node::Constant("null".into())),
        }
    }

    fn template(&mut self, text: &str) -> Result<Node, TemplateError> {
        self.templates += 1;
        if self.templates > TEMPLATES_MAX {
            return Err(self.refused(format!("more than {TEMPLATES_MAX} templates in one value; use a loop")));
        }
        let node = judge(text).and_then(|shape| match shape {
            Shape::Single => Lone::judged(text, self.missing).map(Node::Value),
            Shape::Mixed => Template::judged(text, Escape::None, self.missing).map(Node::Text),
        });
        node.map_err(|error| at(&self.place, error))
    }

    fn refused(&self, what: String) -> TemplateError {
        at(&self.place, TemplateError::whole("", Reason::Refused, what))
    }
}

/// Whether a value is nested more deeply than a template may be. Found out without recursion: writing such a value would take
/// more of the stack than there is.
fn is_too_deep(value: &JsonValue) -> bool {
    let mut left = vec![(value, 0)];
    while let Some((value, depth)) = left.pop() {
        if depth > DEPTH_MAX {
            return true;
        }
        match value {
            JsonValue::Array(items) => left.extend(items.iter().map(|item| (item, depth + 1))),
            JsonValue::Object(members) => left.extend(members.values().map(|member| (member, depth + 1))),
            _ => {}
        }
    }
    false
}

fn quoted(text: &str) -> String {
    JsonValue::from(text).to_string()
}

fn render(
    node: &Node,
    scope: &MessageScope<'_>,
    out: &mut String,
    room: &mut Room,
    place: &mut Place,
) -> Result<(), TemplateError> {
    let full = |error: minijinja::Error| TemplateError::of_engine("", &error);
    match node {
        Node::Constant(json) => out.push_str(json),
        Node::Value(expression) => {
            let json = expression.json(scope, room);
            out.push_str(&json.map_err(|error| at(place, error))?);
        }
        Node::Text(template) => {
            let text = template.render(scope).map_err(|error| at(place, error))?;
            room.take(text.len()).map_err(full)?;
            out.push_str(&quoted(&text));
        }
        Node::List(nodes) => {
            out.push('[');
            for (number, node) in nodes.iter().enumerate() {
                if number > 0 {
                    out.push(',');
                }
                place.push(number.to_string());
                render(node, scope, out, room, place)?;
                place.pop();
            }
            out.push(']');
        }
        Node::Object(nodes) => {
            out.push('{');
            for (number, (name, node)) in nodes.iter().enumerate() {
                if number > 0 {
                    out.push(',');
                }
                out.push_str(&quoted(name));
                out.push(':');
                place.push(name.clone());
                render(node, scope, out, room, place)?;
                place.pop();
            }
            out.push('}');
        }
    }
    Ok(())
}
