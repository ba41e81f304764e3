//! The dashboard and the portal of a whole server: what is refused, what is inert, and that no link leads nowhere.

mod forms;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::*;

/// Stands in every field that takes text. Nothing of it may ever be markup.
const HOSTILE: &str = "\"'><img src=x onerror=alert(1)></code></textarea><script>alert(2)</script>&amp;{{7*7}}";

/// What a page may use; nothing else, and no frame around it.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
                      form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

struct Shown {
    status: u16,
    headers: http::HeaderMap,
    body: String,
}

impl Shown {
    fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .map_or("", |value| value.to_str().unwrap_or_default())
    }

    /// The text that the page's forms carry.
    fn csrf(&self) -> String {
        let (_, rest) = self.body.split_once("name=\"csrf\" value=\"").expect("a form");
        rest.split('"').next().unwrap().to_owned()
    }

    /// Where its links lead, within this server; `path` is the page's own.
    fn links(&self, path: &str) -> BTreeSet<String> {
        let mut links = BTreeSet::new();
        for start in ["href=\"", "src=\""] {
            for (at, _) in self.body.match_indices(start) {
                let link = self.body[at + start.len()..].split('"').next().unwrap();
                let link = link.replace("&amp;", "&").replace("&#38;", "&");
                let link = match link.starts_with('?') {
                    true => format!("{}{link}", path.split('?').next().unwrap()),
                    false => link,
                };
                links.insert(link.split('#').next().unwrap().to_owned());
            }
        }
        links.retain(|link| link.starts_with('/'));
        links
    }
}

/// A browser, as far as cookies go.
struct Browser {
    address: SocketAddr,
    cookies: BTreeMap<String, String>,
    headers: Vec<(&'static str, String)>,
}

impl Browser {
    fn new(address: SocketAddr) -> Self {
        Self {
            address,
            cookies: BTreeMap::new(),
            headers: Vec::new(),
        }
    }

    async fn send(&mut self, method: &str, path: &str, form: &[(&str, &str)]) -> Shown {
        let mut request = http::Request::builder()
            .method(method)
            .uri(format!("http://{}{path}", self.address));
        let cookies: Vec<_> = self
            .cookies
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        request = request.header("cookie", cookies.join("; "));
        for (name, value) in &self.headers {
            request = request.header(*name, value);
        }
        let body = url::form_urlencoded::Serializer::new(String::new())
            .extend_pairs(form)
            .finish();
        let request = request
            .header("content-type", "application/x-www-form-urlencoded")
            .body(body.into_bytes())
            .unwrap();
        let sent = tokio::task::spawn_blocking(move || {
            let agent: ureq::Agent = ureq::Agent::config_builder()
                .http_status_as_error(false)
                .max_redirects(0)
                .proxy(None)
                .build()
                .into();
            let mut answer = agent.run(request).unwrap();
            Shown {
                status: answer.status().as_u16(),
                headers: answer.headers().clone(),
                body: String::from_utf8_lossy(&answer.body_mut().read_to_vec().unwrap()).into_owned(),
            }
        });
        let shown = sent.await.unwrap();
        for line in shown.headers.get_all("set-cookie") {
            let pair = line.to_str().unwrap().split(';').next().unwrap();
            let (name, value) = pair.split_once('=').unwrap();
            self.cookies.insert(name.to_owned(), value.to_owned());
        }
        shown
    }

    async fn get(&mut self, path: &str) -> Shown {
        self.send("GET", path, &[]).await
    }

    /// Signs in, on the side whose paths begin with `base`.
    async fn sign_in(&mut self, base: &str, token: &str) -> Shown {
        let csrf = self.get(&format!("{base}/sign-in")).await.csrf();
        self.send("POST", &format!("{base}/sign-in"), &[("csrf", &csrf), ("token", token)])
            .await
    }

    /// Looks at every page that can be reached from here.
    async fn crawl(&mut self, from: &str) -> BTreeMap<String, Shown> {
        let mut pages = BTreeMap::new();
        let mut next = VecDeque::from([from.to_owned()]);
        while let Some(path) = next.pop_front() {
            if pages.contains_key(&path) {
                continue;
            }
            let page = self.get(&path).await;
            assert_eq!(page.status, 200, "{path}: {}", page.body);
            next.extend(page.links(&path));
            pages.insert(path, page);
            assert!(pages.len() < 500, "links without an end: {:?}", pages.keys());
        }
        pages
    }
}

/// Answers every request with 500 and something hostile, for as long as the test lasts.
async fn unkind() -> (String, tokio::task::JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/hook", listener.local_addr().unwrap());
    #[expect(clippy::disallowed_methods, reason = "the test aborts it at its end")]
    let serving = tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut piece = [0; 8_192];
            let _ = stream.read(&mut piece).await;
            let answer = format!(
                "HTTP/1.1 500 No\r\nx-hostile: {HOSTILE}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{HOSTILE}",
                HOSTILE.len()
            );
            let _ = stream.write_all(answer.as_bytes()).await;
        }
    });
    (url, serving)
}

/// A server that has one of everything, with hostile names.
struct Filled {
    server: Running,
    token: String,
    app: String,
    other: String,
    endpoint: String,
    message: String,
    receiver: tokio::task::JoinHandle<()>,
    _data: tempfile::TempDir,
}

impl Filled {
    async fn start() -> Self {
        Self::with(|_| {}).await
    }

    async fn with(change: impl FnOnce(&mut Config)) -> Self {
        let data = tempfile::tempdir().unwrap();
        let mut settings = config(data.path());
        change(&mut settings);
        let server = serve(settings).await.unwrap();
        let (address, token) = (server.address, token(&server));
        let post = async |path: &str, body: Value| {
            let answer = ask(address, "POST", path, &token, Some(body)).await;
            assert!((200..300).contains(&answer.0), "{path}: {}", answer.text());
            answer.json()
        };
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let (url, receiver) = unkind().await;
        let kind = json!({ "name": "invoice.paid", "description": HOSTILE, "groupName": "billing",
            "schemas": { "1": { "title": HOSTILE, "examples": [{ "t": HOSTILE }] } } });
        post("/api/v1/event-type", kind).await;
        let app = text(&post("/api/v1/app", json!({ "name": HOSTILE, "metadata": { "m": HOSTILE } })).await["id"]);
        let other = text(&post("/api/v1/app", json!({ "name": "Somebody else" })).await["id"]);
        let endpoints = format!("/api/v1/app/{app}/endpoint");
        let new = json!({ "url": format!("{url}?x=%3Cb%3E"), "description": HOSTILE, "metadata": { "m": HOSTILE } });
        let endpoint = text(&post(&endpoints, new).await["id"]);
        let picky = json!({ "url": url, "description": "picky", "filter": "payload.t == '<b>'", "channels": ["x"] });
        post(&endpoints, picky).await;
        let theirs = json!({ "url": url, "description": "theirs" });
        post(&format!("/api/v1/app/{other}/endpoint"), theirs).await;
        post("/api/v1/token", json!({ "name": HOSTILE, "scope": "read" })).await;
        let source = json!({ "name": HOSTILE, "uid": "src", "type": "generic-webhook" });
        let source = ask(address, "POST", "/ingest/api/v1/source", &token, Some(source)).await;
        if source.0 == 201 {
            let refused = ask(address, "POST", "/in/src", "", Some(json!({ "t": HOSTILE }))).await;
            assert_ne!(refused.0, 500);
        }
        let event =
            json!({ "eventType": "invoice.paid", "eventId": "ev-1", "payload": { "t": HOSTILE }, "tags": ["t"] });
        let message = text(&post(&format!("/api/v1/app/{app}/msg"), event.clone()).await["id"]);
        let event = json!({ "eventType": "invoice.paid", "payload": { "t": 1 } });
        post(&format!("/api/v1/app/{other}/msg"), event).await;
        loop {
            let attempts = format!("/api/v1/app/{app}/attempt/msg/{message}");
            let page = ask(address, "GET", &attempts, &token, None).await.json();
            if page["data"][0]["status"] == 2 {
                break;
            }
        }
        let since = json!({ "since": "2026-01-01T00:00:00Z" });
        post(&format!("/api/v1/app/{app}/endpoint/{endpoint}/recover"), since).await;
        Self {
            server,
            token,
            app,
            other,
            endpoint,
            message,
            receiver,
            _data: data,
        }
    }

    async fn signed_in(&self) -> Browser {
        let mut browser = Browser::new(self.server.address);
        let answer = browser.sign_in("", &self.token).await;
        assert_eq!(
            (answer.status, answer.header("location")),
            (303, "/"),
            "{}",
            answer.body
        );
        browser
    }

    /// The key that a portal link carries.
    async fn portal_key(&self, body: Value) -> String {
        let path = format!("/api/v1/auth/app-portal-access/{}", self.app);
        let access = ask(self.server.address, "POST", &path, &self.token, Some(body))
            .await
            .json();
        let url = access["url"].as_str().unwrap();
        url.split_once('#').unwrap().1.to_owned()
    }

    async fn stop(self) {
        self.receiver.abort();
        stop(self.server).await;
    }
}

/// What holds for every page.
fn judge(path: &str, page: &Shown) {
    if !page.header("content-type").starts_with("text/html") {
        return;
    }
    assert_eq!(page.header("content-security-policy"), POLICY, "{path}");
    assert_eq!(page.header("x-content-type-options"), "nosniff", "{path}");
    assert_eq!(page.header("referrer-policy"), "same-origin", "{path}");
    assert_eq!(page.header("x-frame-options"), "DENY", "{path}");
    assert_eq!(page.header("cache-control"), "no-store", "{path}");
    for inert in [
        "<img src=x",
        "<script>",
        "</textarea><script",
        " style=\"",
        " onerror=\"",
        "<b>",
        "49&#",
    ] {
        assert!(!page.body.contains(inert), "{path} has {inert}: {}", page.body);
    }
    assert!(!page.body.contains("whsec_"), "{path} shows a secret");
    for form in page.body.split("<form ").skip(1) {
        let form = form.split("</form>").next().unwrap();
        let posts = form.split('>').next().unwrap().contains("method=\"post\"");
        assert_eq!(posts, form.contains("name=\"csrf\""), "{path}: a form {form}");
    }
}

#[tokio::test]
async fn every_link_leads_to_a_page_that_is_strict_and_on_which_hostile_text_is_inert() {
    let filled = Filled::start().await;
    let mut browser = filled.signed_in().await;
    let pages = browser.crawl("/").await;
    for (path, page) in &pages {
        judge(path, page);
    }
    for page in [
        "/app",
        "/problem",
        "/live",
        "/search",
        "/source",
        "/event-type",
        "/task",
        "/token",
        "/node",
        "/setting",
        "/audit",
        "/new/source",
        "/new/event-type",
        "/event-type/invoice.paid/setting",
        "/event-type/invoice.paid/impact?verb=delete",
    ] {
        assert!(pages.contains_key(page), "no link leads to {page}: {:?}", pages.keys());
    }
    let reached = |end: &str| pages.keys().any(|path| path.ends_with(end));
    assert!(reached(&filled.endpoint) && reached("/setting") && reached("/replay"));
    let attempt = pages.iter().find(|(path, _)| path.contains("/attempt/"));
    let (_, attempt) = attempt.expect("an attempt's page");
    assert!(attempt.body.contains("webhook-signature: v1,") && attempt.body.contains("HTTP 500"));
    assert!(attempt.body.contains("&#60;img src=x"), "{}", attempt.body);
    let message = &browser
        .get(&format!("/app/{}/msg/{}", filled.app, filled.message))
        .await;
    judge("the message", message);
    assert!(
        message.body.contains("picky") && message.body.contains("Next try"),
        "{}",
        message.body
    );
    let search = format!(
        "/search?q={}",
        url::form_urlencoded::byte_serialize(HOSTILE.as_bytes()).collect::<String>()
    );
    let search = browser.get(&search).await;
    assert_eq!(search.status, 200);
    judge("the search", &search);
    filled.stop().await;
}

#[tokio::test]
async fn a_portal_shows_its_application_and_nothing_else_by_any_url() {
    let filled = Filled::start().await;
    let key = filled.portal_key(json!({})).await;
    let mut browser = Browser::new(filled.server.address);
    let entered = browser.sign_in("/portal", &format!("#{key}")).await;
    assert_eq!(
        (entered.status, entered.header("location")),
        (303, "/portal"),
        "{}",
        entered.body
    );
    let pages = browser.crawl("/portal").await;
    for (path, page) in &pages {
        judge(path, page);
        assert!(
            path.starts_with("/portal") || path.starts_with("/assets/") || path.starts_with("/docs/"),
            "{path}"
        );
        assert!(
            !page.body.contains("Somebody else") && !page.body.contains(&filled.other),
            "{path}"
        );
    }
    let other = &filled.other;
    let theirs = format!("/api/v1/app/{other}/endpoint");
    let theirs = ask(filled.server.address, "GET", &theirs, &filled.token, None)
        .await
        .json();
    let theirs = theirs["data"][0]["id"].as_str().unwrap().to_owned();
    let message = format!("/api/v1/app/{other}/msg");
    let message = ask(filled.server.address, "GET", &message, &filled.token, None)
        .await
        .json();
    let message = message["data"][0]["id"].as_str().unwrap().to_owned();
    let app = &filled.app;
    for path in [
        format!("/portal/app/{other}"),
        format!("/portal/app/{other}/msg"),
        format!("/portal/app/{other}/endpoint"),
        format!("/portal/app/{other}/endpoint/{theirs}"),
        format!("/portal/app/{app}/endpoint/{theirs}"),
        format!("/portal/app/{app}/endpoint/{theirs}/setting"),
        format!("/portal/app/{app}/msg/{message}"),
        format!("/portal/app/{app}%2F..%2F{other}"),
        "/portal/app/..%2Ftoken".to_owned(),
        "/portal/app".to_owned(),
        "/portal/token".to_owned(),
        "/portal/setting".to_owned(),
        "/portal/audit".to_owned(),
        "/portal/source".to_owned(),
        "/portal/source/src/setting".to_owned(),
        "/portal/source/src/impact".to_owned(),
        "/portal/node".to_owned(),
        "/portal/new/source".to_owned(),
        "/portal/new/event-type".to_owned(),
        "/portal/event-type/invoice.paid/setting".to_owned(),
        "/portal/event-type/invoice.paid/impact".to_owned(),
        format!("/portal/app/{app}/impact"),
        format!("/portal/live/event?app={other}"),
    ] {
        let refused = browser.get(&path).await;
        assert_eq!(refused.status, 404, "{path}: {}", refused.body);
        assert!(!refused.body.contains("Somebody else"), "{path}");
    }
    let csrf = browser.get("/portal").await.csrf();
    for path in [
        format!("/portal/app/{other}/endpoint/{theirs}/do"),
        format!("/portal/app/{app}/endpoint/{theirs}/secret"),
        format!("/portal/app/{other}/endpoint"),
        format!("/portal/app/{app}/delete"),
        format!("/portal/app/{app}/expire"),
        "/portal/event-type/invoice.paid/delete".to_owned(),
        "/portal/event-type/invoice.paid/setting".to_owned(),
        "/portal/source/src/delete".to_owned(),
        "/portal/new/event-type".to_owned(),
    ] {
        let form = [
            ("csrf", csrf.as_str()),
            ("do", "delete"),
            ("url", "http://127.0.0.1:9/"),
        ];
        let refused = browser.send("POST", &path, &form).await;
        assert_eq!(refused.status, 404, "{path}: {}", refused.body);
    }
    // Its session opens nothing on the operator's side.
    let cookie = browser.cookies["bellwire-portal"].clone();
    browser.cookies.insert("bellwire".to_owned(), cookie);
    assert_eq!(browser.get("/app").await.header("location"), "/sign-in?back=%2Fapp");
    // Nor is the operator's side entered with its key, or the portal with a key to more.
    let (_, token) = key.split_once("token=").unwrap();
    assert_eq!(Browser::new(filled.server.address).sign_in("", token).await.status, 403);
    let more = format!("#app={app}&token={}", filled.token);
    assert_eq!(
        Browser::new(filled.server.address)
            .sign_in("/portal", &more)
            .await
            .status,
        403
    );
    filled.stop().await;
}

#[tokio::test]
async fn who_may_only_look_is_offered_no_button_and_refused_when_pressing_one() {
    let filled = Filled::start().await;
    let key = filled.portal_key(json!({ "readOnly": true })).await;
    let mut browser = Browser::new(filled.server.address);
    browser.sign_in("/portal", &format!("#{key}")).await;
    let endpoint = format!("/portal/app/{}/endpoint/{}", filled.app, filled.endpoint);
    let page = browser.get(&endpoint).await;
    assert_eq!(page.status, 200, "{}", page.body);
    assert!(!page.body.contains(">Pause<") && !page.body.contains("Delete…"));
    let csrf = page.csrf();
    for (path, form) in [
        ("do", [("csrf", csrf.as_str()), ("do", "pause")]),
        ("secret", [("csrf", csrf.as_str()), ("do", "")]),
        ("replay", [("csrf", csrf.as_str()), ("begin", "yes")]),
    ] {
        let refused = browser.send("POST", &format!("{endpoint}/{path}"), &form).await;
        assert_eq!(refused.status, 403, "{path}: {}", refused.body);
    }
    filled.stop().await;
}

#[tokio::test]
async fn a_session_ends_with_its_token_and_when_somebody_signs_out() {
    let filled = Filled::start().await;
    let address = filled.server.address;
    let made = json!({ "name": "short-lived", "scope": "read" });
    let made = ask(address, "POST", "/api/v1/token", &filled.token, Some(made))
        .await
        .json();
    let mut browser = Browser::new(address);
    browser.sign_in("", made["token"].as_str().unwrap()).await;
    assert_eq!(browser.get("/app").await.status, 200);
    let path = format!("/api/v1/token/{}", made["id"].as_str().unwrap());
    assert_eq!(ask(address, "DELETE", &path, &filled.token, None).await.0, 204);
    let over = browser.get("/app").await;
    assert_eq!((over.status, over.header("location")), (303, "/sign-in?back=%2Fapp"));

    let mut browser = filled.signed_in().await;
    let csrf = browser.get("/").await.csrf();
    browser.send("POST", "/sign-out", &[("csrf", &csrf)]).await;
    assert_eq!(browser.get("/").await.header("location"), "/sign-in");
    filled.stop().await;
}

#[tokio::test]
async fn a_secret_is_shown_when_somebody_asks_for_it_and_only_then() {
    let filled = Filled::start().await;
    let mut browser = filled.signed_in().await;
    let endpoint = format!("/app/{}/endpoint/{}", filled.app, filled.endpoint);
    let settings = browser.get(&format!("{endpoint}/setting")).await;
    assert!(!settings.body.contains("whsec_"));
    let path = format!("{endpoint}/secret");
    assert_eq!(browser.get(&path).await.status, 405);
    let shown = browser.send("POST", &path, &[("csrf", &settings.csrf())]).await;
    assert_eq!((shown.status, shown.header("cache-control")), (200, "no-store"));
    assert!(shown.body.contains("whsec_"), "{}", shown.body);
    filled.stop().await;
}

#[tokio::test]
async fn signing_in_is_bounded_by_address_and_leads_back_to_this_server_only() {
    let data = tempfile::tempdir().unwrap();
    let server = serve(config(data.path())).await.unwrap();
    let mut browser = Browser::new(server.address);
    let token = token(&server);
    for (back, leads) in [
        ("/app?x=1", "/app?x=1"),
        ("//evil.example/", "/"),
        ("https://evil.example/", "/"),
    ] {
        let csrf = browser.get("/sign-in").await.csrf();
        let form = [("csrf", csrf.as_str()), ("token", token.as_str()), ("back", back)];
        let entered = browser.send("POST", "/sign-in", &form).await;
        assert_eq!((entered.status, entered.header("location")), (303, leads), "{back}");
        let cookie = entered.header("set-cookie");
        assert!(
            cookie.contains("; HttpOnly") && cookie.contains("SameSite=Lax"),
            "{cookie}"
        );
    }
    let mut statuses = Vec::new();
    for _ in 0..8 {
        statuses.push(browser.sign_in("", "bw_admin_wrong").await.status);
    }
    assert_eq!((statuses[0], statuses[7]), (401, 429), "{statuses:?}");
    stop(server).await;
}

#[tokio::test]
async fn a_portal_may_be_framed_by_the_origins_that_are_configured_and_by_nobody_else() {
    let filled = Filled::with(|config| {
        config.http.public_url = Some("https://hooks.example.com".to_owned());
        config.dashboard.frame_origins = vec!["https://app.example.com".to_owned()];
        config.dashboard.name = Some("Shop <hooks>".to_owned());
        config.dashboard.accent = "#335577".parse().ok();
    })
    .await;
    let mut browser = Browser::new(filled.server.address);
    let page = browser.get("/portal/sign-in").await;
    assert!(page.body.contains("Shop &#60;hooks&#62;") && page.body.contains("/assets/colours-"));
    let policy = page.header("content-security-policy");
    assert!(policy.ends_with("frame-ancestors https://app.example.com"), "{policy}");
    assert_eq!(page.header("x-frame-options"), "");
    let cookie = page.header("set-cookie").to_owned();
    assert!(cookie.starts_with("__Host-bellwire-portal="), "{cookie}");
    assert!(cookie.ends_with("SameSite=None; Secure; Partitioned"), "{cookie}");
    let page = browser.get("/sign-in").await;
    assert_eq!(page.header("content-security-policy"), POLICY);
    assert!(page.header("set-cookie").contains("SameSite=Lax; Secure"));
    filled.stop().await;
}

#[tokio::test]
async fn assets_are_kept_by_browsers_for_ever_and_have_no_secrets() {
    let data = tempfile::tempdir().unwrap();
    let server = serve(config(data.path())).await.unwrap();
    let mut browser = Browser::new(server.address);
    let page = browser.get("/sign-in").await;
    let assets: Vec<_> = page
        .links("/")
        .into_iter()
        .filter(|link| link.starts_with("/assets/"))
        .collect();
    assert!(assets.len() >= 4, "{assets:?}");
    for path in assets {
        let asset = browser.get(&path).await;
        assert_eq!(asset.status, 200, "{path}");
        assert!(asset.header("cache-control").contains("immutable"), "{path}");
        browser.headers = vec![("if-none-match", asset.header("etag").to_owned())];
        assert_eq!(browser.get(&path).await.status, 304, "{path}");
        browser.headers.clear();
    }
    assert_eq!(browser.get("/assets/style-old.css").await.status, 404);
    stop(server).await;
}
