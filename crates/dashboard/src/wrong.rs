//! What is wrong with a form that was sent: said at the field that it is about, with what was written left in place.

use http::StatusCode;

use crate::{
    answer::Refused,
    ask::{Failure, Wrong},
    visit::Visit,
};

/// What is wrong, by member of what the API takes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Wrongs(Vec<Wrong>);

impl Wrongs {
    /// What the form says after the API refused what was written.
    ///
    /// # Errors
    /// The page that says why, where it refused for another reason.
    pub fn said(visit: &Visit, failure: &Failure) -> Result<Self, Refused> {
        Self::of(failure).ok_or_else(|| visit.refuse(failure))
    }

    /// With which status a form is shown.
    pub fn status(wrong: Option<&Self>) -> StatusCode {
        match wrong {
            Some(_) => StatusCode::UNPROCESSABLE_ENTITY,
            None => StatusCode::OK,
        }
    }

    /// What the API refuses because of what was written; nothing when it refuses for another reason.
    fn of(failure: &Failure) -> Option<Self> {
        let place = match (failure.status.as_u16(), failure.code.as_str()) {
            (_, "uid_taken") => "uid",
            (_, "event_type_exists") => "name",
            (400 | 409 | 422, _) => "",
            _ => return None,
        };
        if failure.members.is_empty() {
            return Some(Self::one(place, failure.words.clone()));
        }
        Some(Self(failure.members.clone()))
    }

    /// One thing that is wrong.
    pub fn one(place: &str, words: impl Into<String>) -> Self {
        Self(vec![Wrong {
            place: place.to_owned(),
            words: words.into(),
        }])
    }

    /// What is wrong with one of the form's fields, or with what is inside it.
    pub fn at(&self, field: &str) -> Option<String> {
        let inside = |wrong: &&Wrong| is_inside(&wrong.place, field);
        let words = |wrong: &Wrong| match wrong.place.strip_prefix(field).unwrap_or_default() {
            "" => wrong.words.clone(),
            rest => format!("{}: {}", rest.trim_start_matches('.'), wrong.words),
        };
        let all: Vec<_> = self.0.iter().filter(inside).map(words).collect();
        (!all.is_empty()).then(|| all.join("; "))
    }

    /// What is wrong with none of these fields.
    pub fn besides(&self, fields: &[&str]) -> Option<String> {
        let outside = |wrong: &&Wrong| !fields.iter().any(|field| is_inside(&wrong.place, field));
        let words = |wrong: &Wrong| match wrong.place.as_str() {
            "" => wrong.words.clone(),
            place => format!("{place}: {}", wrong.words),
        };
        let all: Vec<_> = self.0.iter().filter(outside).map(words).collect();
        (!all.is_empty()).then(|| all.join("; "))
    }
}

fn is_inside(place: &str, field: &str) -> bool {
    let rest = place.strip_prefix(field);
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failure(status: StatusCode, code: &str, members: &[(&str, &str)]) -> Failure {
        let wrong = |&(place, words): &(&str, &str)| Wrong {
            place: place.to_owned(),
            words: words.to_owned(),
        };
        Failure {
            status,
            code: code.to_owned(),
            words: "no".to_owned(),
            members: members.iter().map(wrong).collect(),
        }
    }

    #[test]
    fn what_is_wrong_is_said_at_its_field_and_the_rest_above() {
        let refused = failure(
            StatusCode::UNPROCESSABLE_ENTITY,
            "validation_failed",
            &[
                ("schemas.1", "is none"),
                ("name", "is long"),
                ("names", "other"),
                ("", "odd"),
            ],
        );
        let wrongs = Wrongs::of(&refused).unwrap();
        assert_eq!(wrongs.at("schemas").as_deref(), Some("1: is none"));
        assert_eq!(wrongs.at("name").as_deref(), Some("is long"));
        assert_eq!(wrongs.at("uid"), None);
        assert_eq!(
            wrongs.besides(&["schemas", "name"]).as_deref(),
            Some("names: other; odd")
        );
    }

    #[test]
    fn a_name_that_is_taken_is_said_at_the_name_and_a_missing_right_nowhere() {
        let taken = failure(StatusCode::CONFLICT, "event_type_exists", &[]);
        assert_eq!(Wrongs::of(&taken).unwrap().at("name").as_deref(), Some("no"));
        assert_eq!(
            Wrongs::of(&failure(StatusCode::FORBIDDEN, "insufficient_access", &[])),
            None
        );
    }
}
