//! What goes wrong on demand.

use serde_json::json;
use tokio_tungstenite::tungstenite::Message;

use super::books::subscribed_book;
use super::{LIMIT, call, client, kinds, paused, private_socket, public, raw, refusal, start, told};

#[tokio::test]
async fn reports_come_twice_late_and_in_the_wrong_order_on_demand() {
    let (_server, client) = start(paused(2)).await;
    client.advance(1_000).await;
    let (mut socket, _) = private_socket(&client).await;
    let account = |fault: &str| json!({ "kind": "frames", "class": "account", "fault": fault });
    client.fault(account("duplicate")).await;
    let add = format!("{LIMIT}&type=buy&volume=0.5&price=39000&cl_ord_id=one");
    call(&client, "AddOrder", &add).await;
    assert_eq!(
        kinds(&told(&mut socket).await),
        ["pending_new", "new", "pending_new", "new"]
    );
    // The report of the next order is held back until its cancel was told.
    client.fault(account("reorder")).await;
    call(&client, "AddOrder", &add.replace("=one", "=two")).await;
    assert!(told(&mut socket).await.is_empty());
    call(&client, "CancelOrder", "cl_ord_id=two").await;
    assert_eq!(
        kinds(&told(&mut socket).await),
        ["canceled", "pending_new", "new"]
    );
    client.fault(account("drop")).await;
    call(&client, "CancelOrder", "cl_ord_id=one").await;
    assert!(told(&mut socket).await.is_empty());
}

#[tokio::test]
async fn outcomes_are_unknown_and_the_venue_closes_on_demand() {
    let (_server, client) = start(paused(2)).await;
    client.advance(1_000).await;
    let add = |name: &str| format!("{LIMIT}&type=buy&volume=0.1&price=39000&cl_ord_id={name}");
    let unknown = |executed, answer: &str| json!({ "kind": "unknown_outcome", "request": "place", "executed": executed, "answer": answer });
    client.fault(unknown(true, "timeout")).await;
    client.fault(unknown(false, "http502")).await;
    assert_eq!(
        refusal(&client, "AddOrder", &add("first")).await,
        "EService:Timeout"
    );
    assert_eq!(raw(&client, "AddOrder", &add("second")).await.status, 502);
    let open = call(&client, "OpenOrders", "").await;
    assert_eq!(open["open"].as_object().unwrap().len(), 1);
    client
        .fault(json!({ "kind": "mode", "mode": "cancel_only" }))
        .await;
    assert_eq!(
        refusal(&client, "AddOrder", &add("third")).await,
        "EService:Market in cancel_only mode"
    );
    assert_eq!(call(&client, "CancelAll", "").await["count"], 1);
    let mut socket = subscribed_book(&client, 10).await;
    client
        .fault(json!({ "kind": "mode", "mode": "maintenance" }))
        .await;
    let (_, status) = socket.until(|message| message["channel"] == "status").await;
    assert_eq!(status["data"][0]["system"], "maintenance");
    assert_eq!(refusal(&client, "CancelAll", "").await, "EService:Unavailable");
    client.fault(json!({ "kind": "mode", "mode": "online" })).await;
    client.fault(json!({ "kind": "clock_skew", "ms": -5_000 })).await;
    assert_eq!(
        public(&client, "Time").await["result"]["unixtime"],
        client::OPEN_MS / 1_000 - 4
    );
    client
        .fault(json!({ "kind": "close", "code": 1013, "reason": "try again later" }))
        .await;
    let frame = loop {
        if let Message::Close(frame) = socket.next_message().await.unwrap() {
            break frame.unwrap();
        }
    };
    assert_eq!(
        (u16::from(frame.code), frame.reason.as_str()),
        (1013, "try again later")
    );
}
