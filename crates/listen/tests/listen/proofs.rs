//! What each row of the table rests on beside our own word.
//!
//! Kept true from three sides: `documentation` writes it into `docs/providers.md` and fails where a row has none; `documented` has
//! the vectors; and the example `oracles`, which reads this file, fails where a library or a documented request is claimed and
//! `tests/providers` makes none, or makes one that is not claimed.

/// A kind of proof, from the strongest to the weakest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Proof {
    /// A published library that nobody here wrote signed or verified the request: its name, and where it is published.
    Library(&'static str),
    /// A request with its key, published there.
    Vector(&'static str),
    /// The request is made as the provider's page describes it, by `tests/providers/python` and not by our code.
    Documented,
    /// There is no signature: something is compared, as this page says.
    Compared,
}

use Proof::{Compared, Documented, Library, Vector};

/// Every row of the table, by its name.
pub const PROOFS: &[(&str, &[Proof])] = &[
    (
        "standard-webhooks",
        &[
            Library("standardwebhooks (npm)"),
            Library("standardwebhooks (PyPI)"),
            Vector("the specification, \"Signature scheme\""),
        ],
    ),
    (
        "svix",
        &[
            Library("svix (npm)"),
            Library("svix (PyPI)"),
            Vector("its documentation, \"Verifying payloads manually\""),
        ],
    ),
    ("beehiiv", &[Library("svix (npm)")]),
    ("brex", &[Library("svix (npm)")]),
    (
        "clerk",
        &[
            Library("@clerk/backend (npm)"),
            Library("svix (npm)"),
            Library("svix (PyPI)"),
        ],
    ),
    ("guesty", &[Library("svix (npm)")]),
    ("incident-io", &[Library("svix (npm)")]),
    ("lithic", &[Library("lithic (npm)"), Library("svix (npm)")]),
    ("nash", &[Library("svix (npm)")]),
    (
        "open-ai",
        &[Library("openai (npm)"), Library("standardwebhooks (PyPI)")],
    ),
    ("pleo", &[Library("svix (npm)")]),
    ("psi-fi", &[Library("svix (npm)")]),
    ("render", &[Library("svix (npm)")]),
    ("replicate", &[Library("replicate (npm)"), Library("svix (npm)")]),
    ("resend", &[Library("resend (npm)"), Library("svix (npm)")]),
    ("safebase", &[Library("svix (npm)")]),
    ("sardine", &[Library("svix (npm)")]),
    ("stych", &[Library("svix (npm)")]),
    (
        "github",
        &[Library("@octokit/webhooks-methods (npm)"), Vector("its documentation")],
    ),
    ("bitbucket", &[Vector("its documentation")]),
    ("jira", &[Vector("its documentation")]),
    ("shopify", &[Library("@shopify/shopify-api (npm)")]),
    ("x", &[Library("twitter-autohook (npm)")]),
    ("meta", &[Library("pywa (PyPI)"), Documented]),
    ("dropbox", &[Documented]),
    ("intercom", &[Documented]),
    ("typeform", &[Documented]),
    ("docusign", &[Documented]),
    ("asana", &[Documented]),
    (
        "notion",
        &[Library("@notionhq/client (npm)"), Vector("its documentation")],
    ),
    ("woocommerce", &[Library("@hookflo/tern (npm)"), Documented]),
    (
        "razorpay",
        &[
            Library("razorpay (npm)"),
            Library("razorpay (PyPI)"),
            Vector("the tests of razorpay-python"),
        ],
    ),
    ("sentry", &[Documented]),
    ("pagerduty", &[Vector("the tests of go-pagerduty")]),
    ("vercel", &[Documented]),
    ("easypost", &[Library("easypost (PyPI)")]),
    ("nango", &[Library("@nangohq/node (npm)"), Documented]),
    ("merge", &[Documented]),
    ("rutter", &[Documented]),
    ("segment", &[Documented]),
    ("veriff", &[Documented]),
    ("stripe", &[Library("stripe (npm)"), Library("stripe (PyPI)")]),
    ("calendly", &[Documented]),
    ("tailscale", &[Documented]),
    (
        "paddle",
        &[
            Library("@paddle/paddle-node-sdk (npm)"),
            Vector("the tests of its library"),
        ],
    ),
    ("slack", &[Library("slack_sdk (PyPI)"), Vector("its documentation")]),
    ("zoom", &[Library("@zoom/rivet (npm)"), Documented]),
    ("zendesk", &[Documented]),
    ("linear", &[Library("@linear/sdk (npm)")]),
    ("box", &[Vector("the tests of its library")]),
    ("airwallex", &[Documented]),
    ("port-io", &[Documented]),
    (
        "twilio",
        &[
            Library("twilio (npm)"),
            Library("twilio (PyPI)"),
            Vector("its documentation"),
        ],
    ),
    ("square", &[Library("square (npm)"), Vector("its documentation")]),
    ("trello", &[Documented]),
    (
        "hubspot",
        &[Library("@hubspot/api-client (npm)"), Library("hubspot (PyPI)")],
    ),
    ("panda-doc", &[Documented]),
    ("checkbook", &[Vector("its documentation")]),
    ("mailgun", &[Library("mailgun-js (npm)"), Documented]),
    (
        "adyen",
        &[
            Library("@adyen/api-library (npm)"),
            Library("Adyen (PyPI)"),
            Vector("its documentation"),
        ],
    ),
    (
        "discord",
        &[Library("discord-interactions (npm)"), Library("PyNaCl (PyPI)")],
    ),
    ("telnyx", &[Library("telnyx (npm)"), Library("PyNaCl (PyPI)")]),
    (
        "sendgrid",
        &[Library("sendgrid (PyPI)"), Vector("the tests of its library")],
    ),
    ("orum-io", &[Documented]),
    ("paypal", &[Library("paypalrestsdk (PyPI)")]),
    ("aws-sns", &[Library("sns-validator (npm)")]),
    ("plaid", &[Documented]),
    ("gitlab", &[Library("gidgetlab (PyPI)"), Library("@hookflo/tern (npm)")]),
    ("telegram", &[Library("grammy (npm)"), Documented]),
    ("okta", &[Documented]),
    ("ms-graph", &[Documented]),
    ("adobe-sign", &[Documented]),
    ("openclaw", &[Documented]),
    ("vapi", &[Documented]),
    ("hmac", &[Vector("RFC 4231, section 4.3")]),
    ("vgs", &[Documented]),
    ("ed25519", &[Vector("RFC 8032, section 7.1")]),
    ("basic", &[Vector("RFC 7617, section 2")]),
    ("bearer", &[Vector("RFC 6750, section 2.1")]),
    ("token", &[Compared]),
    ("jwt", &[Library("PyJWT (PyPI)"), Vector("RFC 7515, appendix A.3")]),
    ("ip", &[Compared]),
    ("none", &[Compared]),
];
