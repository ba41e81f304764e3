//! Files that cannot be used, and what is said about each.

use super::read_text;

/// One file, where it is wrong, and how it is said.
const BAD: &[(&str, &[&str])] = &[
    (
        "",
        &["1:1: there is nothing in the file; write `hooks: {}` when there are to be none"],
    ),
    // At its end, not behind it.
    ("hooks: [1, 2", &["1:13: this is no YAML"]),
    ("hooks: {}\r\nversion: {", &["2:11: this is no YAML"]),
    ("hooks: {}\n: 0\n?", &["3:2: "]),
    ("[]", &["1:1: the file is a map, and this is a list"]),
    ("connections: {}", &["1:1: there is no `hooks` in the file"]),
    (
        "hooks: {}\nversion: 2",
        &["2:10: version: this program reads version 1 of the file"],
    ),
    (
        "hook: {}\nhooks: {}",
        &["1:1: hook: the file has no `hook`; did you mean `hooks`?"],
    ),
    (
        "hooks: {a b: {verify: none, do: []}}",
        &["1:9: hooks.a b: `a b` cannot be a hook's name"],
    ),
    (
        "hooks: {src_1: {verify: none, do: []}}",
        &["`src_1` cannot be a hook's name"],
    ),
    (
        "hooks: {a: {do: []}}",
        &[
            "1:9: hooks.a: it does not say where messages come from, or how they are trusted; write `verify`, `cron` and `monitors`",
        ],
    ),
    (
        "hooks: {a: {verify: none}}",
        &["it does not say what to do; write `do: []`"],
    ),
    (
        "hooks: {a: {verify: none, cron: \"@daily\", do: []}}",
        &["1:27: hooks.a.cron: there are `verify` and `cron`, and a hook has one of them"],
    ),
    (
        "hooks: {a: {verify: gihtub, do: []}}",
        &["1:21: hooks.a.verify: no provider or form is called `gihtub`; did you mean `github`?"],
    ),
    (
        "hooks: {a: {verify: github, do: []}}",
        &["1:21: hooks.a.verify: `github` needs `secret`"],
    ),
    (
        "hooks: {a: {verify: {provider: github, secert: x}, do: []}}",
        &["1:40: hooks.a.verify.secert: `github` has no setting `secert`; did you mean `secret`?"],
    ),
    (
        "hooks: {a: {verify: {github: \"\"}, do: []}}",
        &["1:30: hooks.a.verify.github: the setting `secret` is empty"],
    ),
    (
        "hooks: {a: {verify: {github: \"${UNSET}\"}, do: []}}",
        &["1:30: hooks.a.verify.github: the variable UNSET is not set"],
    ),
    (
        "hooks: {a: {verify: {hmac: {secret: s, header: x, alg: md5}}, do: []}}",
        &["1:56: hooks.a.verify.hmac.alg: the setting `alg` is not usable"],
    ),
    (
        "hooks: {a: {verify: {clerk: nonsense}, do: []}}",
        &["1:29: hooks.a.verify.clerk: the setting `secret` is not usable"],
    ),
    (
        "hooks: {a: {verify: {}, do: []}}",
        &["1:21: hooks.a.verify: it does not say by whose rules"],
    ),
    (
        "hooks:\n  a:\n    verify: none\n    when: type|shout\n    do: []",
        &["4:16: hooks.a.when: there is no filter `shout`"],
    ),
    (
        "hooks: {a: {verify: none, order: {version: v}, do: []}}",
        &["1:34: hooks.a.order: it does not say what messages are put in order by"],
    ),
    (
        "hooks: {a: {verify: none, order: {by: b, version: v, sequence: s}, do: []}}",
        &["there are both `sequence` and `version`"],
    ),
    (
        "hooks: {a: {verify: none, order: {by: b, wait: 5s}, do: []}}",
        &["1:42: hooks.a.order.wait: `wait` is about a `sequence`"],
    ),
    (
        "hooks: {a: {verify: none, throttle: soon, do: []}}",
        &["1:37: hooks.a.throttle: `soon` is not a duration"],
    ),
    (
        "hooks: {a: {verify: none, throttle: {key: x}, do: []}}",
        &["it does not say how often; add `every: 15m`"],
    ),
    (
        "hooks: {a: {verify: none, do: {file: {path: a}}}}",
        &["1:31: hooks.a.do: `do` is a list of actions, and this is a map; begin each action with a hyphen"],
    ),
    (
        "hooks: {a: {verify: none, do: [{emial: {}}]}}",
        &["1:33: hooks.a.do[0].emial: no action is called `emial`; did you mean `email`?"],
    ),
    (
        "hooks: {a: {verify: none, do: [{}]}}",
        &["1:32: hooks.a.do[0]: it does not say what to do; write one of"],
    ),
    (
        "hooks: {a: {verify: none, do: [{file: {path: a}, run: {argv: [x]}}]}}",
        &["there are two actions in one"],
    ),
    (
        "hooks: {a: {verify: none, do: [{file: {paht: a}}]}}",
        &["1:40: hooks.a.do[0].file.paht: `file` has no setting `paht`; did you mean `path`?"],
    ),
    (
        "hooks: {a: {verify: none, do: [{file: a.jsonl}]}}",
        &["1:39: hooks.a.do[0].file: `file` is a map, and this is a text"],
    ),
    (
        "hooks: {a: {verify: none, do: [{file: {path: \"\"}}]}}",
        &["1:46: hooks.a.do[0].file.path: name a file"],
    ),
    (
        "hooks: {a: {verify: none, do: [{run: {argv: [x, \"{{ a|shout }}\"]}}]}}",
        &["1:49: hooks.a.do[0].run.argv[1]: "],
    ),
    (
        "hooks: {a: {verify: none, do: [{chat: {via: ops, text: x}}]}}",
        &["1:45: hooks.a.do[0].chat.via: no connection is called `ops`"],
    ),
    (
        "connections: {o: {sql: \"sqlite:x\"}}\nhooks: {a: {verify: none, do: [{http: {via: o}}]}}",
        &["2:45: hooks.a.do[0].http.via: `http` does not go by a connection to sql"],
    ),
    (
        "connections: {o: {bearer: x}}\nhooks: {}",
        &["1:15: connections.o: it does not say where it leads"],
    ),
    (
        "connections: {o: {http: x, sql: y}}\nhooks: {}",
        &["it leads to several places: `http` and `sql`"],
    ),
    (
        "hooks: {a: {verify: none, do: [{file: {path: a}, name: x}, {file: {path: b}, name: x}]}}",
        &["1:60: hooks.a.do[1]: an action of this hook is already called `x`, on line 1"],
    ),
    (
        "hooks: {a: {verify: none, do: [{file: {path: a}, name: \"x y\"}]}}",
        &["`x y` cannot be an action's name"],
    ),
    (
        "hooks: {a: {verify: none, do: [{file: {path: a}, retry: often}]}}",
        &["write the wait before each retry"],
    ),
    (
        "hooks: {a: {verify: none, do: [{file: {path: a}, max_in_flight: 0}]}}",
        &["write a whole number from 1 to 10000"],
    ),
    (
        "hooks: {a: {verify: none, do: [{file: {path: a}, disabled: maybe}]}}",
        &["write true or false"],
    ),
    (
        "hooks: {a: {verify: none, do: [{file: {path: a}, format: yaml}]}}",
        &["write one of `json`"],
    ),
    ("hooks: {a: {monitors: all, do: []}}", &["there are no monitors"]),
    (
        "monitors: {m: {tcp: \"h:1\"}}\nhooks: {a: {monitors: [n], do: []}}",
        &["no monitor is called `n`"],
    ),
    (
        "monitors: {m: {every: 5s}}\nhooks: {}",
        &["a monitor watches one thing; write one of `http`, `tcp` and `certificate`"],
    ),
    ("hooks: {a: {cron: {payload: 1}, do: []}}", &["it does not say when"]),
    (
        "hooks: {a: {cron: never, do: []}}",
        &["1:19: hooks.a.cron: `never` is no time"],
    ),
    (
        "hooks: {a: {cron: {schedule: never}, do: []}}",
        &["1:30: hooks.a.cron.schedule: `never` is no time"],
    ),
    (
        "monitors: {m: {http: \"https://never\"}}\nhooks: {a: {monitors: all, do: []}}",
        &["1:15: monitors.m: `never` is no time"],
    ),
    (
        "monitors: {m: {tcp: \"h:1\", status: 999}}\nhooks: {}",
        &["1:36: monitors.m.status: write a whole number from 100 to 599"],
    ),
    (
        "connections: {m: {smtp: \"smtps://u%40e.com:p@h\"}}\nhooks: {a: {verify: none, do: [{email: {via: m, to: a@b.c, subject: s, template: gone.html}}]}}",
        &["cannot read the template gone.html"],
    ),
    (
        "connections: {m: {smtp: \"smtps://u%40e.com:p@h\"}}\nhooks: {a: {verify: none, do: [{email: {via: m, to: a@b.c, subject: s, template: broken.html}}]}}",
        &["2:82: hooks.a.do[0].email.template: there is no filter `shout`"],
    ),
    // A monitor that nobody would look at, and connections and monitors that nobody uses, are judged as well.
    (
        "monitors: {m: {tcp: \"h:1\"}, n: {tcp: \"h:2\"}}\nhooks: {a: {monitors: [m], do: []}}",
        &["1:29: monitors.n: no hook names this monitor; nobody looks at it; write `monitors: [n]` in a hook"],
    ),
    (
        "monitors: {m: {http: \"https://never\"}}\nhooks: {}",
        &["1:15: monitors.m: `never` is no time"],
    ),
    (
        "connections: {o: {htpp: x}}\nhooks: {}",
        &["1:19: connections.o: it does not say where it leads; did you mean `http`?"],
    ),
    (
        "connections: {o: {http: x, baerer: y}}\nhooks: {}",
        &["1:28: connections.o.baerer: no action that goes by `http` has a setting `baerer`; did you mean `bearer`?"],
    ),
    // What follows from something that is wrong is not said.
    (
        "hooks: {a: {verify: none, when: \"${UNSET}\", throttle: \"${UNSET}\", do: [{run: {argv: \"${UNSET}\"}, retry: [\"${UNSET}\"]}]}}",
        &["1:33: hooks.a.when: the variable UNSET", "1:55: ", "1:85: ", "1:106: "],
    ),
    (
        "monitors: {m: {tpc: \"h:1\"}}\nhooks: {a: {monitors: all, do: []}, b: {monitors: [m], do: []}}",
        &[
            "1:12: monitors.m: a monitor watches one thing",
            "1:16: monitors.m.tpc: a monitor has no `tpc`",
        ],
    ),
    (
        "connections: {o: {slakc: x}}\nhooks: {a: {verify: none, do: [{chat: {via: o, text: x}}]}}",
        &["1:19: connections.o: it does not say where it leads; did you mean `slack`?"],
    ),
    (
        "x-v: &v {githbu: s}\nhooks: {a: {verify: *v, do: []}, b: {verify: *v, do: []}}",
        &["1:10: hooks.a.verify.githbu: no provider or form is called `githbu`"],
    ),
    // Traps.
    (
        "hooks: {a: {verify: none, when: , do: [{file: {path: a}, when: }]}}",
        &[
            "1:27: hooks.a.when: `when` says nothing",
            "1:58: hooks.a.do[0].when: `when` says nothing",
        ],
    ),
    (
        "hooks: {a: {verify: {github: $GITHUB_SECRET}, do: []}}",
        &["1:30: hooks.a.verify.github: `$GITHUB_SECRET` is taken as it stands; did you mean `${GITHUB_SECRET}`?"],
    ),
    (
        "hooks: {a: {verify: {github: {secret: {a: b}}}, do: []}}",
        &["1:39: hooks.a.verify.github.secret: this is a map; a text is needed"],
    ),
    (
        "hooks: {a: {verify: none, forEach: a, for_each: b, do: []}}",
        &["1:39: hooks.a.for_each: it is the same as `forEach`; remove one of them"],
    ),
    (
        "hooks: {a: {verify: {hmac: {secret: s, header: x, tolerance: 5m}}, do: []}}",
        &["1:62: hooks.a.verify.hmac.tolerance: `tolerance` is about `ts`, and there is none"],
    ),
    // Beginners.
    (
        "hooks: {a: {verify: none, do: [{file: {path: {{ x }}}}]}}",
        &["a key must be a text; a text with `{{ … }}` is put in quotes as a whole"],
    ),
    (
        "hooks: {a: {verify: none, when: a && b, do: []}}",
        &["; write `and` and `or`"],
    ),
    (
        "hooks: {a: {verify: none, when: a = 1, do: []}}",
        &["; write `==` to compare"],
    ),
    (
        "hooks: {a: {verify: none, when: \"{{ a }}\", do: []}}",
        &["; an expression is written without braces"],
    ),
    (
        "hooks: {a: {verify: none, do: [{file: {path: a}, retries: [1s]}]}}",
        &["1:50: hooks.a.do[0].retries: no action is called `retries`; did you mean `retry`?"],
    ),
    // All of it is said at once, in the order of the file.
    (
        "hooks:\n  a: {verify: nobody, do: [{fiel: {}}]}\n  b: {do: 1}\n",
        &["2:15: ", "2:29: ", "3:3: ", "3:11: "],
    ),
];

#[test]
fn what_is_wrong_is_said_with_line_column_and_what_to_do() {
    let mut unlike = Vec::new();
    for (text, wanted) in BAD {
        let findings = read_text(text).expect_err(text);
        let fits = findings.len() == wanted.len()
            && findings
                .iter()
                .zip(*wanted)
                .all(|(found, wanted)| found.contains(wanted));
        if !fits {
            unlike.push(format!("{text}\n  found  {findings:#?}\n  wanted {wanted:#?}"));
        }
    }
    assert!(unlike.is_empty(), "{}", unlike.join("\n"));
}
