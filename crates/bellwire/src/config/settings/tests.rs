//! The table agrees with the configuration it fills, and with itself.

use super::*;

#[test]
fn the_documented_default_of_every_setting_is_the_one_in_force() {
    for setting in SETTINGS {
        assert_eq!(
            (setting.get)(&Config::default()).join(", "),
            setting.default,
            "{}",
            setting.key
        );
    }
}

#[test]
fn what_a_setting_writes_it_reads_back() {
    for setting in SETTINGS.iter().filter(|setting| !setting.default.is_empty()) {
        let mut config = Config::default();
        let written = (setting.get)(&config);
        let values: Vec<_> = written.iter().map(String::as_str).collect();
        (setting.set)(&mut config, &values).unwrap();
        assert_eq!((setting.get)(&config), written, "{}", setting.key);
    }
}

#[test]
fn names_are_unique_and_flags_are_the_names_with_dashes() {
    for (at, setting) in SETTINGS.iter().enumerate() {
        assert!(
            SETTINGS[..at]
                .iter()
                .all(|other| other.variable() != setting.variable()),
            "{}",
            setting.key
        );
        if let Some(flag) = setting.flag {
            assert_eq!(flag, setting.key.replace(['.', '_'], "-"));
        }
        assert!(
            setting.meaning.ends_with('.') && !setting.kind.is_empty(),
            "{}",
            setting.key
        );
    }
}

#[test]
fn one_value_is_wanted_where_there_is_no_list() {
    for setting in SETTINGS
        .iter()
        .filter(|setting| !setting.list && setting.key != "log.level")
    {
        assert!(
            (setting.set)(&mut Config::default(), &["a", "b"]).is_err(),
            "{}",
            setting.key
        );
    }
}

#[test]
fn passwords_in_urls_are_not_written() {
    let mut config = Config::default();
    config.storage.store = Some(Hidden::new("postgres://me:canary@db/x"));
    config.calls.proxy = Some("http://me:canary@proxy:3128".parse().unwrap());
    for setting in SETTINGS.iter().filter(|setting| !setting.secret()) {
        let shown = (setting.get)(&config).join(" ");
        assert!(!shown.contains("canary"), "{shown}");
    }
    assert!(!format!("{config:?}").contains("canary"));
}
