//! What people write who mean harm, or did not think. None of it may cost more than a moment and a few megabytes.

use std::thread;

use bellwire_template::{
    Escape, Expression, JsonTemplate, MessageScope, Missing, Reason, TEMPLATES_MAX, Template, TemplateError,
};

/// A large payload: a long text, a long list, and two large equal objects that are not the same.
fn payload() -> String {
    let items = vec!["0"; 50_000].join(",");
    let object = format!("{{\"a\":[[[{items}]]]}}");
    format!(
        "{{\"s\":\"{}\",\"l\":[{items}],\"x\":{object},\"y\":{object},\"z\":{} }}",
        "x".repeat(500_000),
        object.replace(':', ": ")
    )
}

fn render(text: &str) -> Result<String, TemplateError> {
    let payload = payload();
    let scope = MessageScope::new("a", &[], payload.as_bytes());
    Template::compile(text, Escape::None, Missing::Empty)?.render(&scope)
}

fn reason(text: &str) -> Reason {
    match render(text) {
        Ok(output) => panic!("{text} made {} bytes", output.len()),
        Err(error) => error.reason,
    }
}

#[test]
fn loops_that_run_away_are_stopped() {
    assert_eq!(
        reason("{% for a in l %}{% for b in l %}{% endfor %}{% endfor %}"),
        Reason::Exhausted
    );
    assert_eq!(
        reason("{% for a in l %}{% for b in l %}{{ b }}{% endfor %}{% endfor %}"),
        Reason::Exhausted
    );
    assert_eq!(reason("{% for i in range(10**9) %}{% endfor %}"), Reason::Refused);
    assert_eq!(
        reason("{% for a in l recursive %}{{ loop(l) }}{% endfor %}"),
        Reason::Refused
    );
    assert_eq!(
        reason("{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}"),
        Reason::Syntax
    );
    let nested = |depth| format!("{}x{}", "{% for a in l %}".repeat(depth), "{% endfor %}".repeat(depth));
    assert_eq!(reason(&nested(30)), Reason::Exhausted);
    assert_eq!(reason(&nested(100)), Reason::Refused);
}

#[test]
fn texts_and_lists_do_not_grow_out_of_nothing() {
    for text in [
        "{{ \"x\" * 1000000000 }}",
        "{{ [1] * 100000000 }}",
        "{{ s * 3 }}",
        "{{ [[s] * 1000] * 1000 }}",
        "{{ l * l }}",
    ] {
        assert_eq!(reason(text), Reason::Refused, "{text}");
    }
    let doubling = "{% set s = s ~ s %}".repeat(40);
    assert_eq!(reason(&format!("{doubling}{{{{ s }}}}")), Reason::Exhausted);
    let sharing = "{% set l = [l, l] %}".repeat(40);
    assert_eq!(reason(&format!("{sharing}{{{{ l }}}}")), Reason::Refused);
    let sharing = format!(
        "{}{{{{ l }}}}{}",
        "{% for l in [[l, l]] %}".repeat(40),
        "{% endfor %}".repeat(40)
    );
    assert_eq!(reason(&sharing), Reason::Refused);
    assert_eq!(reason(&"{% set l = l + l %}".repeat(40)), Reason::Refused);
    assert_eq!(reason("{{ l|map(attribute=\"q\", default=s)|join }}"), Reason::Refused);
    assert_eq!(reason("{{ l|map(\"default\", s)|join }}"), Reason::Refused);
    assert_eq!(reason("{{ s|replace(\"x\", s) }}"), Reason::Exhausted);
    assert_eq!(reason("{{ s|split(\"\")|join(s) }}"), Reason::Exhausted);
    assert_eq!(reason("{{ l|join(s) }}"), Reason::TooLong);
    assert_eq!(reason("{{ [s, s, s] }}"), Reason::TooLong);
    assert_eq!(reason("{{ [s, s, s]|tojson }}"), Reason::TooLong);
    assert_eq!(reason("{{ s }}{{ s }}{{ s }}"), Reason::TooLong);
    assert_eq!(reason("{% for a in l %}{{ s }}{% endfor %}"), Reason::TooLong);
    assert_eq!(
        reason(&format!("{{{{ [{}] }}}}", vec!["body"; 65].join(","))),
        Reason::Refused
    );
    assert_eq!(reason("{{ 10 ** 1000000000 }}"), Reason::Value);
}

#[test]
fn formatting_is_left_out_also_behind_select_and_map() {
    for text in [
        "{{ \"%1000000000d\"|format(1) }}",
        "{{ \"a\"|indent(1000000000) }}",
        "{{ l|batch(1, s)|list }}",
        "{{ l|pprint }}",
        "{{ l|tojson(1000000000) }}",
    ] {
        assert!(matches!(reason(text), Reason::Refused | Reason::Value), "{text}");
    }
    assert_eq!(reason("{{ l|map(\"pprint\")|list }}"), Reason::Value);
    assert_eq!(reason("{{ l|map(\"format\")|list }}"), Reason::Value);
}

#[test]
fn comparing_what_is_large_again_and_again_is_stopped() {
    assert_eq!(render("{{ x == y and x == z }}").unwrap(), "true");
    assert_eq!(
        reason("{% for a in l %}{% if x == z %}{% endif %}{% endfor %}"),
        Reason::Exhausted
    );
    assert_eq!(
        reason("{% for a in l %}{% if x ~ \"\" %}{% endif %}{% endfor %}"),
        Reason::Exhausted
    );
}

/// Finding a letter of a long text walks along it, and the engine does not count that.
#[test]
fn walking_along_a_long_text_again_and_again_is_stopped() {
    assert_eq!(render("{% for a in [1, 2] %}{{ s[-1] }}{% endfor %}").unwrap(), "xx");
    assert_eq!(reason("{% for a in l %}{{ s[-1] }}{% endfor %}"), Reason::Exhausted);
    for text in [
        "{% set t = s %}{% for a in l %}{{ t[-1] }}{% endfor %}",
        "{% set t = s %}{% for a in l %}{{ (t or 1)[-1] }}{% endfor %}",
        "{% set t = s %}{% for a in l %}{{ {1: t}[1][-1] }}{% endfor %}",
        "{% set t = s %}{% for a in l %}{{ t[-9:] }}{% endfor %}",
        "{% set t = s %}{% for a in l if t[-1] %}{% endfor %}",
        "{% set t = s %}{% for a in l %}{{ t is lower }}{% endfor %}",
        "{% set t = s %}{% for a in l %}{{ [t]|map(attribute=-1)|first }}{% endfor %}",
        "{% set t = s %}{% for a in l %}{{ [t]|map(attribute=\"x.-1\")|first }}{% endfor %}",
        "{% set t = s %}{% for a in l %}{{ [t]|selectattr(0)|first }}{% endfor %}",
        "{% set t = s %}{% for a in l %}{{ [t]|sort(attribute=a)|first }}{% endfor %}",
    ] {
        assert_eq!(reason(text), Reason::Refused, "{text}");
    }
    assert_eq!(
        reason("{% set t = s %}{% for a in l %}{{ [t]|select(\"lower\")|first }}{% endfor %}"),
        Reason::Value
    );
    let json = "{% for a in l %}{% if x|tojson %}{% endif %}{% endfor %}";
    assert_eq!(reason(json), Reason::Exhausted);
}

#[test]
fn nothing_inside_is_reached() {
    for text in [
        "{{ debug() }}",
        "{{ self }}{{ self.x() }}",
        "{{ body.__class__.__mro__() }}",
        "{% include \"/etc/passwd\" %}",
        "{% import \"x\" as y %}",
        "{% extends \"template\" %}",
        "{{ namespace(a=1) }}",
        "{{ caller() }}",
        "{% do x() %}",
        "{% filter upper %}x{% endfilter %}",
        "{% autoescape false %}{% endautoescape %}",
        "{% with a = 1 %}{% endwith %}",
        "{% set a %}x{% endset %}",
        "{{ dict(**body) }}",
        "{{ {s: 1} }}",
    ] {
        assert!(matches!(reason(text), Reason::Refused | Reason::Syntax), "{text}");
    }
    for text in [
        "{{ body.__class__ }}",
        "{{ __context__ }}",
        "{{ env }}{{ HOME }}{{ range }}",
        "{{ self }}",
    ] {
        assert_eq!(render(text).unwrap(), "", "{text}");
    }
}

/// Compiling and running on a small stack: what is too deep for it is refused first.
#[test]
fn deep_texts_are_refused_before_they_overflow_the_stack() {
    let deep: Vec<String> = vec![
        format!("{}a", "-".repeat(4_000)),
        format!("{}a", "not ".repeat(1_000)),
        format!("{}a{}", "(".repeat(2_000), ")".repeat(2_000)),
        format!("{}a{}", "[".repeat(2_000), "]".repeat(2_000)),
        format!("a{}", ".a".repeat(2_000)),
        format!("a{}", "+a".repeat(2_000)),
        format!("a{}", "**a".repeat(1_300)),
        format!("a{}", "|e".repeat(2_000)),
        format!("a{}", "[a".repeat(1_300)),
        format!("a{}", " if a else a".repeat(300)),
        format!("a{}", "()".repeat(2_000)),
        format!("a{}", " is defined".repeat(300)),
        format!("a{}", "<a".repeat(2_000)),
    ];
    let run = move || {
        for text in &deep {
            assert!(Expression::compile(text, Missing::Empty).is_err(), "{text}");
            let template = Template::compile(&format!("{{{{ {text} }}}}"), Escape::None, Missing::Empty);
            assert!(template.is_err(), "{text}");
        }
        let tags = [
            format!("{}x{}", "{% if s %}".repeat(5_000), "{% endif %}".repeat(5_000)),
            format!("{{% if a %}}{}{{% endif %}}", "{% elif a %}".repeat(10_000)),
            format!("{}{}", "{% if s %}{% elif s %}".repeat(20), "{% endif %}".repeat(20)),
            "{% for a in l %}".repeat(5_000),
        ];
        for text in &tags {
            assert!(Template::compile(text, Escape::None, Missing::Empty).is_err());
        }
        // As deep as they may be, these compile and run.
        let scope = MessageScope::new("a", &[], b"{}");
        for text in [
            format!("a{}", ".a".repeat(127)),
            format!("1{}", " + 1".repeat(127)),
            format!("1{}", "**1".repeat(127)),
            format!("1{}", "<1".repeat(127)),
            format!("a{}", "|string".repeat(127)),
            format!("a{}", " if 1 else a".repeat(60)),
            format!("a{}", " and not not a".repeat(60)),
            format!("{}1{}", "[".repeat(24), "]".repeat(24)),
            format!("{}1{}", "(not(-".repeat(12), "))".repeat(12)),
            format!("{}1{}", "{1:".repeat(24), "}".repeat(24)),
            format!("{}1{}", "a[".repeat(24), "]".repeat(24)),
        ] {
            match Expression::compile(&text, Missing::Empty) {
                Ok(expression) => drop(expression.evaluate(&scope)),
                Err(error) => panic!("{error}"),
            }
        }
        let blocks = format!("{}x{}", "{% if 1 %}".repeat(32), "{% endif %}".repeat(32));
        let template = Template::compile(&blocks, Escape::None, Missing::Empty).unwrap();
        assert_eq!(template.render(&scope).unwrap(), "x");
        let many = "{% if 1 %}x{% elif 2 %}y{% endif %}".repeat(1_000);
        assert!(Template::compile(&many, Escape::None, Missing::Empty).is_ok());
        let nested = (0..5_000).fold(serde_json::json!("{{ a }}"), |inner, _| {
            serde_json::Value::Array(vec![inner])
        });
        assert!(JsonTemplate::compile(&nested, Missing::Empty).is_err());
        std::mem::forget(nested); // Its own drop is recursive, and not ours to judge.
    };
    let small = thread::Builder::new().stack_size(1024 * 1024).spawn(run).unwrap();
    assert!(small.join().is_ok());
}

/// Each would take some kilobytes of the server's memory for a few bytes of text.
#[test]
fn a_value_of_very_many_templates_is_refused() {
    let value = |text: &str, count| serde_json::Value::from(vec![text; count]);
    let compile = |value: &serde_json::Value| JsonTemplate::compile(value, Missing::Empty);
    assert!(compile(&value("a{{ a }}", TEMPLATES_MAX)).is_ok());
    for text in ["a{{ a }}", "{{ a }}", "{# #}"] {
        let error = compile(&value(text, TEMPLATES_MAX + 1)).unwrap_err();
        assert_eq!(error.reason, Reason::Refused);
        assert!(error.what.starts_with("at /256: more than 256 templates"), "{error}");
    }
    assert!(compile(&value("a {brace}", 10 * TEMPLATES_MAX)).is_ok());
}

#[test]
fn what_the_templates_of_a_message_do_together_is_bounded() {
    let payload = payload();
    let scope = || MessageScope::new("a", &[], payload.as_bytes());
    for text in [
        "{{ l|sum }}",
        "sum: {{ l|sum }}",
        "{% if x|tojson %}{% endif %}",
        "{{ x }}",
    ] {
        let value = |count| JsonTemplate::compile(&serde_json::Value::from(vec![text; count]), Missing::Empty).unwrap();
        assert!(value(2).render(&scope()).is_ok(), "{text}");
        let error = value(TEMPLATES_MAX).render(&scope()).unwrap_err();
        assert!(matches!(error.reason, Reason::Exhausted | Reason::TooLong), "{error}");
    }
    for text in ["{{ l|sum }}", "{{ x|tojson }}", "{% if x == z %}{% endif %}"] {
        let template = Template::compile(text, Escape::None, Missing::Empty).unwrap();
        let scope = scope();
        let mut rendered = (0..TEMPLATES_MAX).map(|_| template.render(&scope));
        assert!(rendered.by_ref().take(2).all(|text| text.is_ok()), "{text}");
        let error = rendered.find_map(Result::err).unwrap();
        assert_eq!(error.reason, Reason::Exhausted, "{error}");
        // Filters are on their own account: one endpoint's work is not another's.
        let filter = Expression::compile("x == z and l|sum == 0", Missing::Empty).unwrap();
        assert_eq!(filter.holds(&scope), Ok(true));
    }
}

#[test]
fn deep_payloads_are_an_error_where_they_are_looked_at() {
    let deep = format!("{{\"a\":{}{},\"b\":1}}", "[".repeat(100_000), "]".repeat(100_000));
    let scope = MessageScope::new("t", &[], deep.as_bytes());
    let value = |text| Expression::compile(text, Missing::Empty).unwrap().evaluate(&scope);
    assert_eq!(value("b").unwrap(), serde_json::json!(1));
    assert_eq!(value("a").unwrap_err().reason, Reason::Value);
    assert_eq!(value("a|tojson").unwrap_err().reason, Reason::Value);
    assert!(value("a == a and a|length == 1").is_ok());
}

#[test]
fn long_texts_are_refused() {
    let long = format!("\"{}\"", "x".repeat(5_000));
    assert_eq!(
        Expression::compile(&long, Missing::Empty).unwrap_err().reason,
        Reason::Refused
    );
    let long = "x".repeat(300_000);
    assert_eq!(
        Template::compile(&long, Escape::None, Missing::Empty)
            .unwrap_err()
            .reason,
        Reason::Refused
    );
}
