//! What stands around every page: name, navigation, the session's forms, and how the same is asked by the API.

use std::time::Duration;

use bellwire_core::time::Timestamp;

use crate::{asset::Places, shell::Kind, visit::Guest, words};

/// A part of the navigation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Section {
    Overview,
    Search,
    Problems,
    Live,
    Applications,
    Sources,
    EventTypes,
    Tasks,
    Tokens,
    Nodes,
    Settings,
    Audit,
    None,
}

/// Light or dark.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Theme {
    /// As the machine says.
    Auto,
    Light,
    Dark,
}

impl Theme {
    pub fn of(text: Option<&str>) -> Self {
        match text {
            Some("light") => Self::Light,
            Some("dark") => Self::Dark,
            _ => Self::Auto,
        }
    }

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Light => "light",
            Self::Dark => "dark",
        }
    }
}

/// A link of the navigation.
pub(crate) struct Link {
    pub path: String,
    pub words: &'static str,
    pub current: bool,
}

/// The frame.
pub(crate) struct Frame {
    pub title: String,
    pub name: String,
    /// What paths begin with.
    pub base: &'static str,
    pub portal: bool,
    pub signed_in: bool,
    pub may_change: bool,
    pub is_operator: bool,
    pub theme: &'static str,
    pub csrf: String,
    pub places: Places,
    pub links: Vec<Link>,
    /// The page itself, to come back to.
    pub here: String,
    /// What stands in the search box.
    pub searched: String,
    /// Something that was just done, in words.
    pub said: Option<&'static str>,
    /// The commands that ask the same.
    pub commands: Vec<String>,
    pub now: Timestamp,
}

impl Frame {
    pub fn new(guest: &Guest, section: Section, title: String) -> Self {
        let token = guest.session.token();
        let may_change = token.is_some_and(|token| !token.starts_with("bw_read_"));
        Self {
            title,
            name: guest.shell.brand.name().to_owned(),
            base: guest.kind.base(),
            portal: guest.kind == Kind::Portal,
            signed_in: token.is_some(),
            may_change,
            is_operator: may_change && guest.kind == Kind::Operator,
            theme: guest.theme.as_str(),
            csrf: guest.session.csrf(),
            places: guest.shell.assets.places.clone(),
            links: links(guest, section),
            here: guest.here.clone(),
            searched: guest.query.get("q").to_owned(),
            said: said(guest.query.get("said")),
            commands: Vec::new(),
            now: guest.shell.now(),
        }
    }

    /// With what was asked to make the page, as commands.
    pub fn asked(self, guest: &Guest, asked: Vec<String>) -> Self {
        let server = &guest.shell.public_url;
        let command = |path: &String| {
            let url = words::quoted(&format!("{server}{path}"));
            format!("curl -H \"Authorization: Bearer $BELLWIRE_TOKEN\" {url}")
        };
        Self {
            commands: asked.iter().map(command).collect(),
            ..self
        }
    }

    /// How long ago.
    pub fn ago(&self, at: &Timestamp) -> String {
        words::ago(self.now, *at)
    }

    /// A date and a time of day.
    pub fn clock(&self, at: &Timestamp) -> String {
        words::clock(*at)
    }

    /// A number in groups.
    pub fn number(&self, number: &u64) -> String {
        words::number(*number)
    }

    /// A time of day.
    pub fn time_of_day(&self, at: &Timestamp) -> String {
        words::time_of_day(*at)
    }

    /// A share in hundredths.
    pub fn share(&self, part: &u64, whole: &u64) -> String {
        words::share(*part, *whole)
    }

    /// A number of things.
    pub fn count(&self, many: &u64, one: &str) -> String {
        words::count(*many, one)
    }

    /// Milliseconds.
    pub fn millis(&self, millis: &f64) -> String {
        words::millis(*millis)
    }

    /// Seconds as a span.
    pub fn seconds(&self, seconds: &u64) -> String {
        words::span(Duration::from_secs(*seconds))
    }
}

fn links(guest: &Guest, section: Section) -> Vec<Link> {
    if guest.session.token().is_none() {
        return Vec::new();
    }
    let all: &[(Section, &str, &'static str)] = match guest.kind {
        Kind::Operator => &[
            (Section::Overview, "/", "Overview"),
            (Section::Problems, "/problem", "Problems"),
            (Section::Live, "/live", "Live"),
            (Section::Search, "/search", "Search"),
            (Section::Applications, "/app", "Applications"),
            (Section::Sources, "/source", "Sources"),
            (Section::EventTypes, "/event-type", "Event types"),
            (Section::Tasks, "/task", "Tasks"),
            (Section::Tokens, "/token", "Tokens"),
            (Section::Nodes, "/node", "Nodes"),
            (Section::Settings, "/setting", "Settings"),
            (Section::Audit, "/audit", "Audit log"),
        ],
        Kind::Portal => &[
            (Section::Overview, "/", "Overview"),
            (Section::Problems, "/problem", "Problems"),
            (Section::Live, "/live", "Live"),
            (Section::Search, "/search", "Search"),
            (Section::EventTypes, "/event-type", "Event types"),
            (Section::Tasks, "/task", "Tasks"),
        ],
    };
    // What only an administrator may open is offered to nobody else.
    let reads_only = guest.session.token().is_some_and(|token| token.starts_with("bw_read_"));
    let offered = |(of, ..): &&(Section, &str, &'static str)| {
        !(reads_only && matches!(of, Section::Tokens | Section::Nodes | Section::Settings))
    };
    let link = |&(of, path, words): &(Section, &str, &'static str)| Link {
        path: guest.path(path),
        words,
        current: of == section,
    };
    all.iter().filter(offered).map(link).collect()
}

/// What was done, by the name that the address carries: an address cannot put words into a page.
fn said(name: &str) -> Option<&'static str> {
    Some(match name {
        "resent" => "The message is sent again. Its new attempts appear below.",
        "paused" => "Paused: nothing is sent until you resume; what comes meanwhile waits.",
        "resumed" => "Resumed.",
        "enabled" => "Enabled. What was cancelled meanwhile comes back with “recover”.",
        "disabled" => "Disabled: what waited was cancelled, and nothing is sent.",
        "rotated" => "The secret is a new one. The old one stays good for the time you chose.",
        "saved" => "Saved.",
        "made" => "Made.",
        "deleted" => "Deleted.",
        "expired" => "The application's tokens and portal sessions are no longer good.",
        "archived" => "Archived: it is hidden from lists. Messages of it are still accepted.",
        "moved" => "The source has a new URL. The old one stays good for the time you chose.",
        "cancelled" => "The task is cancelled. What it had done stays done.",
        "sent" => "An example is on its way.",
        "signed_out" => "You are signed out.",
        _ => return None,
    })
}
