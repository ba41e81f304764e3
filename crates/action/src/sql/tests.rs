use super::*;
use crate::tests::event;

const PG: &str = "postgres://u:canary@db.example.com/shop";
const MYSQL: &str = "mysql://u:canary@db.example.com/shop";

fn read(url: &str, mut settings: JsonValue) -> Result<Settings, Problem> {
    settings["url"] = url.into();
    Settings::read(&settings)
}

fn sql(url: &str, settings: JsonValue) -> String {
    read(url, settings).unwrap().query.text
}

fn upsert() -> JsonValue {
    json!({
        "upsert": "shop.customers", "key": ["id"], "newer": "updated_at",
        "set": {"id": "{{ id }}", "email": "{{ email }}", "updated_at": "{{ updated_at }}"},
    })
}

#[test]
fn rows_are_added_and_changed_in_each_databases_own_words() {
    let insert = json!({"insert": "a", "set": {"b": 1, "c": "{{ c }}"}});
    assert_eq!(sql(PG, insert.clone()), r#"INSERT INTO "a" ("b", "c") VALUES ($1, $2)"#);
    assert_eq!(
        sql("sqlite:x.db", insert.clone()),
        r#"INSERT INTO "a" ("b", "c") VALUES (?1, ?2)"#
    );
    assert_eq!(sql(MYSQL, insert), "INSERT INTO `a` (`b`, `c`) VALUES (?, ?)");
    assert_eq!(
        sql(PG, upsert()),
        "INSERT INTO \"shop\".\"customers\" AS kept (\"email\", \"id\", \"updated_at\") VALUES ($1, $2, $3) \
         ON CONFLICT (\"id\") DO UPDATE SET \"email\" = excluded.\"email\", \"updated_at\" = excluded.\"updated_at\" \
         WHERE kept.\"updated_at\" IS NULL OR kept.\"updated_at\" < excluded.\"updated_at\""
    );
    assert_eq!(
        sql(
            MYSQL,
            json!({"upsert": "c", "key": ["id"], "newer": "at", "set": {"at": 1, "id": 2, "z": 3}})
        ),
        "INSERT INTO `c` (`at`, `id`, `z`) VALUES (?, ?, ?) ON DUPLICATE KEY UPDATE \
         `z` = IF(`at` IS NULL OR VALUES(`at`) > `at`, VALUES(`z`), `z`), \
         `at` = IF(`at` IS NULL OR VALUES(`at`) > `at`, VALUES(`at`), `at`)"
    );
    let all_key = json!({"upsert": "c", "key": ["a", "b"], "set": {"a": 1, "b": 2}});
    assert!(sql(PG, all_key.clone()).ends_with(r#"ON CONFLICT ("a", "b") DO NOTHING"#));
    assert!(sql(MYSQL, all_key).ends_with("ON DUPLICATE KEY UPDATE `a` = `a`"));
}

#[test]
fn a_parameter_used_twice_is_one_place_where_places_have_numbers() {
    let settings = json!({
        "statement": "update t set n = n + :by, last = :by where id = :id;",
        "params": {"by": "{{ by }}", "id": "{{ id }}"},
    });
    assert_eq!(
        sql(PG, settings.clone()),
        "update t set n = n + $1, last = $1 where id = $2"
    );
    let body = r#"{"by": 5, "id": "x"}"#;
    let values = |url| read(url, settings.clone()).unwrap().plan(&event(body)).unwrap().values;
    let (five, x) = (Value::Integer(5), Value::Text("x".to_owned()));
    assert_eq!(values(PG), [five.clone(), x.clone()]);
    assert_eq!(values(MYSQL), [five.clone(), five, x]);
}

#[test]
fn values_keep_their_types_and_never_become_sql() {
    let settings = read(
        PG,
        json!({"insert": "t", "set": {
            "a": "{{ n }}", "b": "{{ n }}!", "c": "{{ yes }}", "d": "{{ nothing }}", "e": "{{ half }}", "f": "{{ list }}",
            "g": "{{ evil }}", "h": "{{ huge }}", "i": true,
        }}),
    );
    let body = r#"{"n": 5, "yes": true, "nothing": null, "half": 1.5, "list": [1, {"a": "b"}],
        "evil": "'); drop table t; --", "huge": 18446744073709551615}"#;
    let plan = settings.unwrap().plan(&event(body)).unwrap();
    let text = |text: &str| Value::Text(text.to_owned());
    assert_eq!(
        plan.values,
        [
            Value::Integer(5),
            text("5!"),
            Value::Bool(true),
            Value::Null,
            Value::Real(1.5),
            text(r#"[1,{"a":"b"}]"#),
            text("'); drop table t; --"),
            text("18446744073709551615"),
            Value::Bool(true),
        ]
    );
    assert!(!plan.text.contains("drop"));
    assert_eq!(plan.once.as_deref(), Some("msg_1.ep_1"));
}

#[test]
fn what_a_message_lacks_is_named_and_no_zero_byte_is_bound() {
    let settings = read(PG, json!({"insert": "t", "set": {"a": "{{ a.b }}"}})).unwrap();
    let error = settings.plan(&event("{}")).unwrap_err();
    assert_eq!(error.setting, "set.a");
    let error = settings.plan(&event(r#"{"a": {"b": "x\u0000"}}"#)).unwrap_err();
    assert!(error.message.contains("zero byte"), "{error}");
}

#[test]
fn settings_that_cannot_work_are_refused_with_their_place() {
    for (settings, says) in [
        (json!({}), "exactly one of"),
        (json!({"insert": "a", "upsert": "b", "set": {"a": 1}}), "exactly one of"),
        (json!({"insert": "a"}), "`set`: is empty"),
        (
            json!({"insert": "a; drop table b", "set": {"a": 1}}),
            "`insert`: `a; drop table b` is not a name",
        ),
        (json!({"insert": "a.b.c", "set": {"a": 1}}), "too many dots"),
        (json!({"insert": "a", "set": {"b\"": 1}}), "`set`"),
        (json!({"insert": "a", "set": {"1": 1}}), "`set`"),
        (json!({"insert": "a", "set": {"a": 1}, "key": ["a"]}), "write `upsert`"),
        (
            json!({"insert": "a", "set": {"a": 1}, "params": {"b": 1}}),
            "`params`: belongs to",
        ),
        (json!({"upsert": "a", "set": {"a": 1}}), "`key`: is empty"),
        (
            json!({"upsert": "a", "key": ["b"], "set": {"a": 1}}),
            "`key`: names `b`",
        ),
        (
            json!({"upsert": "a", "key": ["a"], "newer": "b", "set": {"a": 1}}),
            "`newer`: names `b`",
        ),
        (
            json!({"upsert": "a", "key": ["a"], "newer": "a", "set": {"a": 1}}),
            "`newer`: is a column of `key`",
        ),
        (json!({"statement": "select :a"}), "`statement`: has `:a`"),
        (
            json!({"statement": "select 1", "params": {"a": 1}}),
            "`params.a`: is given",
        ),
        (
            json!({"statement": "select 1", "set": {"a": 1}}),
            "`statement`: takes `params` only",
        ),
        (json!({"insert": "a", "set": {"a": "{{ b"}}), "`set.a`: syntax error"),
        (json!({"insret": "a"}), "insret"),
    ] {
        let error = read(PG, settings).unwrap_err().to_string();
        assert!(error.contains(says) && !error.contains("canary"), "{says}: {error}");
    }
    let error = read("postgres://u:canary@h:p", json!({})).unwrap_err().to_string();
    assert!(
        error.starts_with("`url`: the URL has a port") && !error.contains("canary"),
        "{error}"
    );
}

#[test]
fn what_is_shown_holds_no_password() {
    let mut shown = json!({"url": PG, "insert": "t"});
    Settings::hide(&mut shown);
    assert_eq!(shown["url"], "postgres://u:[redacted]@db.example.com/shop");
    let settings = read(PG, upsert()).unwrap();
    assert_eq!(settings.target(), "sql:shop.customers");
    assert!(!format!("{settings:?}").contains("canary"));
    let preview = settings
        .preview(&event(r#"{"id": 1, "email": "a", "updated_at": null}"#))
        .unwrap();
    assert_eq!(preview["values"], json!(["a", 1, null]));
}
