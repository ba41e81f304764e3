//! Feeds hooks files to the reader. What can be read is the same again; what cannot is said with a place in the file, and without
//! what references were replaced by.
#![no_main]

use std::{io, path::Path};

use bellwire_hooks::{File, Surroundings};
use libfuzzer_sys::fuzz_target;

/// What ends a line in YAML 1.2 (5.4).
const BREAKS: [char; 2] = ['\n', '\r'];
const SECRET: &str = "canary-0123456789";

fuzz_target!(|text: &str| {
    let around = Surroundings {
        variable: &|name| (name != "UNSET").then(|| SECRET.to_owned()),
        file: &|path| match path.ends_with("gone") {
            true => Err(io::ErrorKind::NotFound.into()),
            false => Ok(SECRET.as_bytes().to_vec()),
        },
        folder: Path::new("/etc/bellwire"),
        source: &|_, _| Ok(()),
    };
    match File::read(text, &around) {
        Ok(desired) => {
            assert_eq!(File::read(text, &around).as_ref(), Ok(&desired));
            assert!(!format!("{desired:?}").contains(SECRET) || text.contains(SECRET));
        }
        Err(findings) => {
            assert!((1..=501).contains(&findings.len()));
            let lines = text.matches(BREAKS).count() + 1;
            for finding in &findings {
                assert!(finding.at.column > 0 && (1..=lines).contains(&finding.at.line), "{finding}");
                assert!(!finding.to_string().contains(SECRET) || text.contains(SECRET), "{finding}");
            }
        }
    }
});
