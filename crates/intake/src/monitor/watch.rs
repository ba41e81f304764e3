//! What is worth a message: pure, one value for each target.

use bellwire_core::time::Timestamp;
use bytes::Bytes;
use serde_json::{Value, json};

use super::{DOWN, EXPIRING, Target, UP, probe::Probed};
use crate::judge::Coming;

const DAY_SECS: i64 = 86_400;

/// How a target stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Standing {
    /// Nothing is known yet.
    #[default]
    Unknown,
    Up,
    Down {
        since: Timestamp,
    },
}

/// A target over time.
#[derive(Debug, Default)]
pub(super) struct Watch {
    pub standing: Standing,
    failures: u32,
    first_failure: Option<Timestamp>,
    /// The day on which its certificate was last spoken of.
    warned_on: Option<i64>,
}

impl Watch {
    /// How it stood according to the last message about it: `down/{name}/{since}` or `up/{name}/{since}`.
    pub fn restored(event_id: Option<&str>) -> Self {
        let mut parts = event_id.unwrap_or_default().splitn(3, '/');
        let standing = match (parts.next(), parts.nth(1).and_then(|since| since.parse().ok())) {
            (Some("down"), Some(since)) => Standing::Down { since },
            (Some("up"), _) => Standing::Up,
            _ => Standing::Unknown,
        };
        Self {
            standing,
            ..Self::default()
        }
    }

    /// Something else is watched from now on: that it is down was said, and is not taken back before the new one was seen to be up.
    pub fn of_another(&self) -> Self {
        Self {
            standing: self.standing,
            ..Self::default()
        }
    }

    /// Something was seen. Answers what is to be said.
    pub fn observe(&mut self, target: &Target, probed: &Probed, now: Timestamp) -> Vec<Coming> {
        let mut said = Vec::new();
        match failure(target, probed) {
            None => {
                if let Standing::Down { since } = self.standing {
                    let id = format!("up/{}/{since}", target.name);
                    said.push(message(target, UP, id, since, None, probed, now));
                }
                (self.standing, self.failures, self.first_failure) = (Standing::Up, 0, None);
            }
            Some(reason) => {
                self.failures = self.failures.saturating_add(1);
                let since = *self.first_failure.get_or_insert(now);
                if self.failures >= target.fails && !matches!(self.standing, Standing::Down { .. }) {
                    self.standing = Standing::Down { since };
                    let id = format!("down/{}/{since}", target.name);
                    said.push(message(target, DOWN, id, since, Some(&reason), probed, now));
                }
            }
        }
        if let Some(not_after) = probed.not_after
            && now.plus(target.warn) >= not_after
            && self.warned_on != Some(now.day())
        {
            self.warned_on = Some(now.day());
            let reason = format!("the certificate ends on {not_after}");
            let id = format!("certificate/{}/{}/{}", target.name, not_after.secs(), now.day());
            said.push(message(target, EXPIRING, id, now, Some(&reason), probed, now));
        }
        said
    }
}

/// Why what was seen means that it is down.
fn failure(target: &Target, probed: &Probed) -> Option<String> {
    if let Some(failure) = &probed.failure {
        return Some(failure.clone());
    }
    if let Some(status) = probed.status {
        let fits = match target.status.as_slice() {
            [] => (200..300).contains(&status),
            wanted => wanted.contains(&status),
        };
        if !fits {
            return Some(format!("it answered {status}"));
        }
    }
    let wanted = target.contains.as_ref()?;
    (!probed.body.contains(wanted)).then(|| format!("`{wanted}` is not in the answer"))
}

fn message(
    target: &Target,
    event_type: &str,
    event_id: String,
    since: Timestamp,
    reason: Option<&str>,
    probed: &Probed,
    now: Timestamp,
) -> Coming {
    let certificate = probed.not_after.map(|not_after| {
        let days = (not_after.secs() - now.secs()).div_euclid(DAY_SECS);
        json!({ "notAfter": not_after, "daysLeft": days })
    });
    let payload = json!({
        "monitor": target.name,
        "target": target.shown(),
        "since": since,
        "reason": reason,
        "status": probed.status,
        "latencyMs": u64::try_from(probed.latency.as_millis()).unwrap_or(u64::MAX),
        "certificate": certificate.unwrap_or(Value::Null),
    });
    let payload = Bytes::from(payload.to_string());
    Coming {
        event_type: event_type.to_owned(),
        event_id: Some(event_id),
        // Down and up of one target are delivered in this order where order is kept.
        ordering_key: Some(target.name.clone()),
        place: None,
        json: payload.clone(),
        payload,
        content_type: Some("application/json".to_owned()),
        item: None,
        attributes: Vec::new(),
        note: None,
        set_aside: false,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn target(json: &str) -> Target {
        let named = format!(r#"{{"name": "api", {json}}}"#);
        super::super::read(&[("monitor".to_owned(), vec![named])].into())
            .unwrap()
            .remove(0)
    }

    fn at(secs: u64) -> Timestamp {
        Timestamp::from_secs(1_766_000_000).plus(Duration::from_secs(secs))
    }

    fn answered(status: u16) -> Probed {
        Probed {
            status: Some(status),
            ..Probed::default()
        }
    }

    /// The types and ids said over these answers, a minute apart.
    fn said(watch: &mut Watch, target: &Target, answers: &[u16]) -> Vec<String> {
        let mut all = Vec::new();
        for (n, status) in answers.iter().enumerate() {
            let said = watch.observe(target, &answered(*status), at(60 * n as u64));
            all.extend(said.into_iter().map(|coming| format!("{n} {}", coming.event_type)));
        }
        all
    }

    #[test]
    fn down_is_said_once_after_so_many_failures_in_a_row_and_up_after_it() {
        let target = target(r#""http": "https://x.example", "fails": 3"#);
        let answers = [200, 500, 500, 200, 500, 500, 500, 500, 200, 200, 500, 500, 500];
        let all = said(&mut Watch::default(), &target, &answers);
        assert_eq!(all, ["6 monitor.down", "8 monitor.up", "12 monitor.down"]);
    }

    #[test]
    fn nothing_is_said_at_the_start_when_all_is_well() {
        let target = target(r#""http": "https://x.example", "fails": 1"#);
        assert!(said(&mut Watch::default(), &target, &[200, 200]).is_empty());
        assert_eq!(said(&mut Watch::default(), &target, &[500]), ["0 monitor.down"]);
    }

    #[test]
    fn a_restart_neither_repeats_nor_forgets_that_it_is_down() {
        let target = target(r#""http": "https://x.example", "fails": 1"#);
        let mut watch = Watch::default();
        let down = watch.observe(&target, &answered(500), at(0)).remove(0);
        let mut restored = Watch::restored(down.event_id.as_deref());
        assert_eq!(restored.standing, watch.standing);
        assert!(restored.observe(&target, &answered(500), at(60)).is_empty());
        let up = restored.observe(&target, &answered(200), at(120)).remove(0);
        assert_eq!(up.event_type, UP);
        assert!(
            String::from_utf8_lossy(&up.payload).contains(&at(0).to_string()),
            "since when it was down"
        );
        assert_eq!(Watch::restored(up.event_id.as_deref()).standing, Standing::Up);
        assert_eq!(Watch::restored(None).standing, Standing::Unknown);
    }

    #[test]
    fn what_must_be_answered_can_be_said() {
        let strict = target(r#""http": "https://x.example", "fails": 1, "status": [204], "contains": "ok""#);
        let probed = |status, body: &str| Probed {
            body: body.to_owned(),
            ..answered(status)
        };
        assert_eq!(failure(&strict, &probed(204, "all ok")), None);
        assert_eq!(failure(&strict, &probed(200, "ok")).as_deref(), Some("it answered 200"));
        assert_eq!(
            failure(&strict, &probed(204, "")).as_deref(),
            Some("`ok` is not in the answer")
        );
    }

    #[test]
    fn a_certificate_is_spoken_of_once_a_day_while_it_is_about_to_end() {
        let target = target(r#""certificate": "x.example", "days": 10"#);
        let mut watch = Watch::default();
        let day = 86_400;
        let probed = Probed {
            not_after: Some(at(20 * day)),
            ..Probed::default()
        };
        let mut ids = Vec::new();
        for hour in 0..(13 * 24) {
            let said = watch.observe(&target, &probed, at(hour * 3_600));
            ids.extend(said.into_iter().map(|coming| coming.event_id.unwrap()));
        }
        assert_eq!(ids.len(), 4, "{ids:?}");
        ids.dedup();
        assert_eq!(ids.len(), 4, "each day has its own id");
    }
}
