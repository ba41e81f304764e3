//! The table in docs/configuration.md, made from the table of settings.

use std::{fs, path::Path};

use super::settings::SETTINGS;

const BEGIN: &str =
    "<!-- settings: made from the code by a test; BELLWIRE_UPDATE=1 cargo test -p bellwire config:: -->\n";
const END: &str = "<!-- end of settings -->\n";

fn table() -> String {
    let mut table =
        "| setting | value | default | special values | what it decides |\n|---|---|---|---|---|\n".to_owned();
    for setting in SETTINGS {
        let default = match (setting.default, setting.list) {
            ("", true) => "none".to_owned(),
            ("", false) => "unset".to_owned(),
            (default, _) => format!("`{default}`"),
        };
        let secret = if setting.secret() {
            " No flag: other users of a machine can see flags."
        } else {
            ""
        };
        let (key, kind, special, meaning) = (setting.key, setting.kind, setting.special, setting.meaning);
        table.push_str(&format!(
            "| `{key}` | {kind} | {default} | {special} | {meaning}{secret} |\n"
        ));
    }
    table
}

#[test]
#[expect(clippy::disallowed_methods, reason = "a test's own switch, not a setting")]
fn the_documented_table_is_the_one_in_the_code() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/configuration.md");
    let text = fs::read_to_string(&file).unwrap();
    let (before, rest) = text.split_once(BEGIN).unwrap();
    let (documented, after) = rest.split_once(END).unwrap();
    if std::env::var_os("BELLWIRE_UPDATE").is_some() {
        fs::write(&file, format!("{before}{BEGIN}{}{END}{after}", table())).unwrap();
    } else {
        assert_eq!(
            documented,
            table(),
            "docs/configuration.md is not current; run this test with BELLWIRE_UPDATE=1"
        );
    }
}
