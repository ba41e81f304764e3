//! The names of the scenarios.

use std::str::FromStr;

use serde::Serialize;

/// What stands in the help and in the refusal of an unknown name.
pub(super) const NAMES: &str = "floor, saturate, fanout[-N], steady-N, down, pending, hang, noisy, return, overload, \
     idle-endpoints, drip, restart, order-key[-N], order-endpoint, hook[-N]";

const KEYS: u32 = 1_000;
const NUMBER_MAX: u32 = 1_000_000;

/// A named way to load a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(into = "String")]
pub enum Scenario {
    /// Generator straight to receiver: what the machine does without a server.
    Floor,
    /// As fast as it goes, to this many endpoints.
    Saturate {
        /// How many endpoints each message goes to.
        endpoints: usize,
    },
    /// A fixed rate to one endpoint; latency counts from the scheduled time.
    Steady {
        /// Messages each second.
        per_second: u32,
    },
    /// The receiver is down while messages are published, then comes back.
    Down,
    /// Very many deliveries are waiting.
    Pending,
    /// L1: a tenth of the endpoints hang.
    Hang,
    /// L2: one application publishes a hundred times its share.
    Noisy,
    /// L3: an endpoint comes back to a long queue.
    Return,
    /// L4: three times as much is published as can be delivered.
    Overload,
    /// L5: very many endpoints, of which few are active.
    IdleEndpoints,
    /// L6: receivers that answer a byte each second.
    Drip,
    /// L7: `kill -9` with very many deliveries pending.
    Restart,
    /// Ordered by key, as fast as it goes.
    OrderKey {
        /// How many keys there are.
        keys: u32,
    },
    /// Ordered by endpoint, as fast as it goes.
    OrderEndpoint,
    /// Signed webhooks of a provider come in, as fast as they are answered or at a fixed rate.
    Hook {
        /// Requests each second; `None` is as fast as it goes.
        per_second: Option<u32>,
    },
}

impl Scenario {
    /// Whether one round takes so long that one has to do, unless somebody asks for more.
    pub(crate) fn takes_long(self) -> bool {
        matches!(
            self,
            Scenario::Pending
                | Scenario::Return
                | Scenario::Overload
                | Scenario::IdleEndpoints
                | Scenario::Drip
                | Scenario::Restart
        )
    }
}

impl FromStr for Scenario {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let number = |digits: &str| match digits.parse::<u32>() {
            Ok(n @ 1..=NUMBER_MAX) => Ok(n),
            _ => Err(format!("{text}: the number must be from 1 to {NUMBER_MAX}")),
        };
        Ok(match text {
            "floor" => Scenario::Floor,
            "saturate" => Scenario::Saturate { endpoints: 1 },
            "fanout" => Scenario::Saturate { endpoints: 5 },
            "down" => Scenario::Down,
            "pending" => Scenario::Pending,
            "hang" => Scenario::Hang,
            "noisy" => Scenario::Noisy,
            "return" => Scenario::Return,
            "overload" => Scenario::Overload,
            "idle-endpoints" => Scenario::IdleEndpoints,
            "drip" => Scenario::Drip,
            "restart" => Scenario::Restart,
            "order-key" => Scenario::OrderKey { keys: KEYS },
            "order-endpoint" => Scenario::OrderEndpoint,
            "hook" => Scenario::Hook { per_second: None },
            _ => match text.rsplit_once('-') {
                Some(("fanout", n)) => match number(n)? {
                    endpoints @ 1..=100 => Scenario::Saturate {
                        endpoints: endpoints as usize,
                    },
                    _ => return Err(format!("{text}: at most 100 endpoints")),
                },
                Some(("steady", n)) => Scenario::Steady { per_second: number(n)? },
                Some(("hook", n)) => Scenario::Hook {
                    per_second: Some(number(n)?),
                },
                Some(("order-key", n)) => Scenario::OrderKey { keys: number(n)? },
                _ => return Err(format!("unknown scenario {text}; choose from {NAMES}")),
            },
        })
    }
}

impl std::fmt::Display for Scenario {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Scenario::Floor => f.write_str("floor"),
            Scenario::Saturate { endpoints: 1 } => f.write_str("saturate"),
            Scenario::Saturate { endpoints: 5 } => f.write_str("fanout"),
            Scenario::Saturate { endpoints } => write!(f, "fanout-{endpoints}"),
            Scenario::Steady { per_second } => write!(f, "steady-{per_second}"),
            Scenario::Down => f.write_str("down"),
            Scenario::Pending => f.write_str("pending"),
            Scenario::Hang => f.write_str("hang"),
            Scenario::Noisy => f.write_str("noisy"),
            Scenario::Return => f.write_str("return"),
            Scenario::Overload => f.write_str("overload"),
            Scenario::IdleEndpoints => f.write_str("idle-endpoints"),
            Scenario::Drip => f.write_str("drip"),
            Scenario::Restart => f.write_str("restart"),
            Scenario::OrderKey { keys: KEYS } => f.write_str("order-key"),
            Scenario::OrderKey { keys } => write!(f, "order-key-{keys}"),
            Scenario::OrderEndpoint => f.write_str("order-endpoint"),
            Scenario::Hook { per_second: None } => f.write_str("hook"),
            Scenario::Hook { per_second: Some(n) } => write!(f, "hook-{n}"),
        }
    }
}

impl From<Scenario> for String {
    fn from(scenario: Scenario) -> Self {
        scenario.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scenario_names_are_read_and_written_alike() {
        for name in [
            "floor",
            "saturate",
            "fanout",
            "fanout-12",
            "steady-100",
            "steady-7",
            "down",
            "pending",
            "hang",
            "noisy",
            "return",
            "overload",
            "idle-endpoints",
            "drip",
            "restart",
            "order-key",
            "order-key-77",
            "order-endpoint",
            "hook",
            "hook-500",
        ] {
            assert_eq!(name.parse::<Scenario>().unwrap().to_string(), name);
        }
    }

    #[test]
    fn scenarios_that_do_not_exist_say_what_does() {
        for name in [
            "",
            "Floor",
            "steady",
            "steady-0",
            "steady-x",
            "fanout-101",
            "down-3",
            "steady-1000001",
            "order",
            "order-key-0",
        ] {
            assert!(name.parse::<Scenario>().is_err(), "{name}");
        }
        assert!("nope".parse::<Scenario>().unwrap_err().contains("idle-endpoints"));
    }
}
