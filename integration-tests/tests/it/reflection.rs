//! A stranger buys a ticket: `buf curl` knows nothing but what the gateway's reflection tells.

use std::path::PathBuf;
use std::process::Command;

use serde_json::{Value, json};

use crate::support::client::{Caller, new_id, service_date};
use crate::support::process::{self, Serving};
use crate::support::skipped;

fn buf() -> Option<PathBuf> {
    let named = std::env::var_os("CHUNYUN_TEST_BUF").map(PathBuf::from);
    let path = named.unwrap_or_else(|| "buf".into());
    Command::new(&path).arg("--version").output().ok().filter(|output| output.status.success()).map(|_| path)
}

struct Stranger {
    buf: PathBuf,
    gateway: String,
    token: String,
}

impl Stranger {
    fn call(&self, method: &str, request: &Value) -> Value {
        let output = Command::new(&self.buf)
            .args([
                "curl",
                "--protocol",
                "grpc",
                "--http2-prior-knowledge",
                "-H",
                &format!("authorization: Bearer {}", self.token),
            ])
            .args(["-d", &request.to_string()])
            .arg(format!("{}/chunyun.gateway.v1.GatewayService/{method}", self.gateway))
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{method}: {} {text}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_str(&text).unwrap()
    }
}

#[tokio::test]
async fn a_ticket_is_bought_through_reflection_alone() {
    let Some(buf) = buf() else { return skipped("buying through reflection", "buf is not installed") };
    let data = tempfile::tempdir().unwrap();
    let serving = Serving::embedded(data.path());
    Caller::new(&serving.gateway(), data.path(), "ops", &["--operator"]).await.open_sale(&["G1"]).await;
    let token = process::chunyun(&["token", "stranger", "--data", data.path().to_str().unwrap()]).stdout;
    let stranger =
        Stranger { buf, gateway: serving.gateway(), token: String::from_utf8(token).unwrap().trim().to_owned() };

    let search = json!({ "query": { "from": "北京", "to": "上海", "boardingDate": service_date() } });
    let found = stranger.call("SearchTrains", &search);
    let journeys = found["result"]["journeys"].as_array().unwrap();
    assert!(journeys.iter().any(|journey| journey["run"]["trainCode"] == "G1"), "{found}");

    let order_id = new_id();
    let place = json!({
        "orderId": order_id,
        "legs": [{
            "trainCode": "G1", "boardingDate": service_date(), "fromStation": "北京南", "toStation": "上海虹桥",
            "seatClass": "SEAT_CLASS_SECOND",
        }],
        "passengers": [{ "name": "Stranger", "documentKind": "DOCUMENT_KIND_PASSPORT", "documentNumber": "S1234567" }],
    });
    let placed = stranger.call("PlaceOrder", &place);
    assert_eq!(placed["order"]["state"], "ORDER_STATE_HELD");
    stranger.call("PayOrder", &json!({ "orderId": order_id, "paymentToken": "sandbox-ok" }));

    let caller = Caller::new(&serving.gateway(), data.path(), "stranger", &[]).await;
    caller.until(&order_id, &[proto::order::v1::OrderState::Confirmed]).await;
    let shown = stranger.call("GetOrder", &json!({ "orderId": order_id }));
    assert_eq!(shown["order"]["tickets"][0]["state"], "TICKET_STATE_ISSUED");
}
