//! Servers that share a store in PostgreSQL, each with its role.

use bellwire_store::query::Role;

use super::*;
use crate::config::Hidden;

/// A server's configuration with this role, on one schema of the tests' database.
fn sharing(data: &Path, schema: &str, role: Role) -> Config {
    let mut config = config(data);
    let url = database::url(database::server().folder(), "bellwire", schema);
    config.storage.store = Some(Hidden::new(url));
    config.secrets.main_secret = Some(Hidden::new("the-main-secret-of-all-of-them-0123456789"));
    config.secrets.admin_token = Some(Hidden::new("configured-configured-configured-0"));
    config.process.role = role;
    config
}

const TOKEN: &str = "configured-configured-configured-0";

/// How many shards each of them serves, by role.
async fn spread(address: SocketAddr) -> Vec<(String, u64)> {
    let nodes = ask(address, "GET", "/api/v1/node", TOKEN, None).await.json();
    let nodes = nodes["data"].as_array().unwrap().clone();
    let one = |node: &Value| {
        let role = node["role"].as_str().unwrap().to_owned();
        (role, node["shards"].as_u64().unwrap())
    };
    nodes.iter().map(one).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn servers_on_one_database_share_the_work_by_their_roles() {
    let data = tempfile::tempdir().unwrap();
    let start = |role| serve(sharing(data.path(), "serve_nodes", role));
    let front = start(Role::Api).await.unwrap();
    let worker = start(Role::Worker).await.unwrap();
    let all = start(Role::All).await.unwrap();
    let wanted = [("api", 0), ("worker", 512), ("all", 512)].map(|(role, shards)| (role.to_owned(), shards));
    let come_to_an_end = async { while spread(front.address).await != wanted {} };
    tokio::time::timeout(Duration::from_secs(60), come_to_an_end)
        .await
        .unwrap();
    assert_eq!(ask(worker.address, "GET", "/api/v1/app", TOKEN, None).await.0, 404);
    assert_eq!(
        ask(worker.address, "GET", "/api/v1/health/ready", "", None).await.0,
        204
    );
    let receiver = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/hook", receiver.local_addr().unwrap());
    let app = Some(json!({ "name": "Shop", "uid": "shop" }));
    assert_eq!(ask(front.address, "POST", "/api/v1/app", TOKEN, app).await.0, 201);
    // What one was asked to make is there at another as soon as it is answered.
    let endpoint = Some(json!({ "url": url }));
    let made = ask(all.address, "POST", "/api/v1/app/shop/endpoint", TOKEN, endpoint).await;
    assert_eq!(made.0, 201, "{}", made.text());
    let body = r#"{"eventType":"invoice.paid","payload":{"id": 1.0}}"#.to_owned();
    let (received, _) = tokio::join!(receive_one(receiver), publish(front.address, TOKEN, body));
    assert!(received.contains("webhook-id: msg_"));
    for server in [front, worker, all] {
        assert_eq!(stop(server).await, Ending::Graceful);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_whose_place_was_taken_ends_to_begin_anew() {
    let data = tempfile::tempdir().unwrap();
    let start = || serve(sharing(data.path(), "serve_ousted", Role::All));
    let server = start().await.unwrap();
    database::server().run("DELETE FROM serve_ousted.member; UPDATE serve_ousted.node SET epoch = epoch + 1");
    assert_eq!(server.wait().await, Ending::Ousted);
    let again = start().await.unwrap();
    assert_eq!(spread(again.address).await, [("all".to_owned(), 1_024)]);
    assert_eq!(stop(again).await, Ending::Graceful);
}
