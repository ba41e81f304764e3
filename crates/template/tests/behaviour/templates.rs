use bellwire_template::{Escape, JsonTemplate, MessageScope, Missing, Reason, Template, TemplateError, Transformation};
use serde_json::{Value, json};

use crate::{PAYLOAD, channels};

fn render(text: &str, escape: Escape, missing: Missing) -> Result<String, TemplateError> {
    let channels = channels();
    let scope = MessageScope::new("invoice.paid", &channels, PAYLOAD.as_bytes());
    Template::compile(text, escape, missing)?.render(&scope)
}

fn plain(text: &str) -> String {
    render(text, Escape::None, Missing::Error).expect(text)
}

fn tree(value: &Value, missing: Missing) -> Result<Value, TemplateError> {
    let channels = channels();
    let scope = MessageScope::new("invoice.paid", &channels, PAYLOAD.as_bytes());
    JsonTemplate::compile(value, missing)?.render(&scope)
}

#[test]
fn values_are_written_as_json_writes_them_but_texts_without_quotes() {
    assert_eq!(plain("/orders/{{ id }}/{{ big }}"), "/orders/in_7/12345678901234567890");
    assert_eq!(
        plain("{{ paid }}|{{ nothing }}|{{ rate }}|{{ [1, paid] }}"),
        "true||1.5|[1,true]"
    );
    assert_eq!(plain("{{ customer.tags }}\n"), "[\"new\",\"vip\"]\n");
    assert_eq!(plain("{{ customer }}").parse::<Value>().unwrap()["id"], json!(42));
}

#[test]
fn conditions_and_loops_and_names_of_ones_own() {
    assert_eq!(
        plain(
            "{% for line in lines %}{{ loop.index }}. {{ line.count }} x {{ line.sku }}{% if not loop.last %}, {% endif %}{% endfor %}"
        ),
        "1. 2 x a, 2. 3 x b"
    );
    assert_eq!(
        plain("{% set name = customer.name|split(\" \")|first %}Hello {{ name }}!"),
        "Hello Ada!"
    );
    assert_eq!(
        plain("{% if amount > 1000 %}much{% elif amount > 100 %}some{% else %}little{% endif %}"),
        "some"
    );
    assert_eq!(
        plain("{% for name, value in lines[0]|items %}{{ name }}={{ value }};{% endfor %}"),
        "sku=a;count=2;"
    );
    assert_eq!(plain("{% raw %}{{ kept }}{% endraw %}{# gone #}"), "{{ kept }}");
}

#[test]
fn html_is_escaped_where_that_is_asked_for() {
    let html = |text| render(text, Escape::Html, Missing::Error).unwrap();
    assert_eq!(html("<b>{{ customer.name }}</b>"), "<b>Ada &lt;ada@example.com&gt;</b>");
    assert_eq!(
        html("{{ [customer.name] }}"),
        "[&quot;Ada &lt;ada@example.com&gt;&quot;]"
    );
    assert_eq!(
        html("<script>x = {{ customer.name|tojson }}</script>"),
        "<script>x = \"Ada \\u003cada@example.com\\u003e\"</script>"
    );
    assert_eq!(html("{{ customer.name|safe }}"), "Ada <ada@example.com>");
    assert_eq!(plain("{{ customer.name }}"), "Ada <ada@example.com>");
}

#[test]
fn a_missing_member_stops_the_output_and_is_named() {
    let error = render("Dear\n{{ customer.email }}", Escape::None, Missing::Error).unwrap_err();
    assert_eq!((error.reason, error.line, error.column), (Reason::Missing, 2, 4));
    assert!(error.what.contains("`customer.email` is missing"), "{error}");
    for text in [
        "{{ nowhere|tojson }}",
        "{{ [nowhere]|join }}",
        "{% for x in nowhere %}{% endfor %}",
        "{{ nowhere|string }}",
    ] {
        assert_eq!(
            render(text, Escape::None, Missing::Error).unwrap_err().reason,
            Reason::Missing,
            "{text}"
        );
    }
    assert_eq!(
        plain("{% if nowhere %}a{% else %}b{% endif %}{{ nowhere|default(\"-\") }}"),
        "b-"
    );
    assert_eq!(
        render("a{{ nowhere.at.all }}b", Escape::None, Missing::Empty).unwrap(),
        "ab"
    );
}

#[test]
fn a_json_template_keeps_the_type_of_a_lone_expression() {
    let template = json!({
        "id": "{{ id }}", "amount": "{{ amount }}", "paid": "{{- paid -}}", "who": "{{ customer }}", "none": "{{ nothing }}",
        "text": "no. {{ amount }}", "two": "{{ amount }}{{ amount }}", "spaced": " {{ amount }}", "fixed": [1, true, null, "x { y"],
        "{{ id }}": 1
    });
    let made = tree(&template, Missing::Error).unwrap();
    let expected = json!({
        "id": "in_7", "amount": 250, "paid": true, "who": {"id": 42, "name": "Ada <ada@example.com>", "tags": ["new", "vip"]},
        "none": null, "text": "no. 250", "two": "250250", "spaced": " 250", "fixed": [1, true, null, "x { y"], "{{ id }}": 1
    });
    assert_eq!(made, expected);
}

#[test]
fn an_error_in_a_json_template_says_where_it_lies() {
    let error = tree(&json!({"a": [{"b/c": "{{ nowhere }}"}]}), Missing::Error).unwrap_err();
    assert_eq!(error.reason, Reason::Missing);
    assert!(error.what.starts_with("at /a/0/b~1c: `nowhere` is missing"), "{error}");
    let error = tree(&json!(["{{ 1 + }}"]), Missing::Error).unwrap_err();
    assert_eq!(error.reason, Reason::Syntax);
    assert!(error.what.starts_with("at /0: "), "{error}");
    assert_eq!(
        tree(&json!({"a": "{{ nowhere }}"}), Missing::Empty).unwrap(),
        json!({"a": null})
    );
}

#[test]
fn the_documented_transformations_make_what_the_page_says() {
    let page = include_str!("../../../../docs/sending.md");
    let (_, section) = page.split_once("\n## Transformations\n").expect("the section");
    let (section, _) = section.split_once("\n## ").expect("its end");
    let blocks = |language: &str| -> Vec<&str> {
        let fence = format!("```{language}\n");
        let after = section.split(&fence).skip(1);
        after
            .map(|block| block.split_once("\n```").expect(language).0)
            .collect()
    };
    let [template, made] = blocks("json")[..] else {
        panic!("two blocks of JSON")
    };
    let (_, payload) = section.split_once("makes of `").expect("the payload");
    let payload = payload.split_once('`').expect("its end").0;
    let scope = MessageScope::new("order.paid", &[], payload.as_bytes());
    let output = Transformation::compile(template).unwrap().apply(&scope).unwrap();
    assert_eq!(output.parse::<Value>().unwrap(), made.parse::<Value>().unwrap());
    let scope = MessageScope::new("a", &[], br#"{"data": {"lines": [{"sku": "a"}, {"sku": "b"}]}}"#);
    let output = Transformation::compile(blocks("jinja")[0])
        .unwrap()
        .apply(&scope)
        .unwrap();
    assert_eq!(output, r#"{"skus": ["a", "b"]}"#);
}
