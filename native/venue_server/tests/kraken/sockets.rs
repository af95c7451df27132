//! Orders, balances and the switch over the newer socket.

use serde_json::{Value, json};

use super::{LIMIT, Socket, call, client, kinds, paused, private_socket, start, told};

#[tokio::test]
async fn orders_over_the_socket_are_answered_and_told() {
    let (_server, client) = start(paused(2)).await;
    client.advance(1_000).await;
    let (mut socket, token) = private_socket(&client).await;
    let ask = async |socket: &mut Socket, method: &str, mut params: Value| {
        params["token"] = json!(token);
        socket
            .send(&json!({ "method": method, "params": params, "req_id": 5 }))
            .await;
        socket.until(|message| message["method"] == method).await
    };
    let order = json!({
        "order_type": "limit", "side": "buy", "order_qty": 0.5, "symbol": "BTC/USD", "limit_price": 39900.5,
        "time_in_force": "gtc", "cl_ord_id": "e2-s0-9", "stp_type": "cancel_both",
    });
    let (before, placed) = ask(&mut socket, "add_order", order.clone()).await;
    assert_eq!(
        (
            &placed["success"],
            &placed["req_id"],
            &placed["result"]["cl_ord_id"]
        ),
        (&json!(true), &json!(5), &json!("e2-s0-9"))
    );
    let entries: Vec<Value> = before
        .iter()
        .filter(|m| m["channel"] == "executions")
        .flat_map(|m| m["data"].as_array().unwrap().clone())
        .collect();
    assert_eq!(kinds(&entries), ["pending_new", "new"]);
    assert_eq!(entries[1]["order_id"], placed["result"]["order_id"]);
    let (_, twin) = ask(&mut socket, "add_order", order).await;
    assert_eq!(
        (&twin["success"], &twin["error"]),
        (
            &json!(false),
            &json!("EGeneral:Invalid arguments:cl_ord_id not unique")
        )
    );
    let amend = json!({ "cl_ord_id": "e2-s0-9", "order_qty": 0.25 });
    let (before, amended) = ask(&mut socket, "amend_order", amend).await;
    assert_eq!(
        amended["result"]["order_id"], placed["result"]["order_id"],
        "{amended}"
    );
    assert!(
        before
            .iter()
            .any(|message| message["data"][0]["exec_type"] == "amended")
    );
    let cancel = json!({ "cl_ord_id": ["e2-s0-9", "other"] });
    let (_, canceled) = ask(&mut socket, "cancel_order", cancel).await;
    assert_eq!(canceled["result"]["cl_ord_id"], "e2-s0-9");
    let (_, unknown) = socket.until(|message| message["method"] == "cancel_order").await;
    assert_eq!(unknown["error"], "EOrder:Unknown order");
    a_fill_is_told(&mut socket, &token).await;
}

async fn a_fill_is_told(socket: &mut Socket, token: &str) {
    let ask = async |socket: &mut Socket, method: &str, mut params: Value| {
        params["token"] = json!(token);
        socket
            .send(&json!({ "method": method, "params": params, "req_id": 5 }))
            .await;
        socket.until(|message| message["method"] == method).await
    };
    let take = json!({ "order_type": "market", "side": "sell", "order_qty": 0.01, "symbol": "BTC/USD" });
    let (before, _) = ask(socket, "add_order", take).await;
    let entries: Vec<Value> = before
        .iter()
        .filter(|m| m["channel"] == "executions")
        .flat_map(|m| m["data"].as_array().unwrap().clone())
        .collect();
    assert_eq!(kinds(&entries)[..2], ["pending_new", "new"]);
    let fill = entries
        .iter()
        .rev()
        .find(|entry| entry["exec_type"] == "trade")
        .unwrap();
    assert_eq!(
        (
            &fill["order_status"],
            &fill["liquidity_ind"],
            &fill["fees"][0]["asset"]
        ),
        (&json!("partially_filled"), &json!("t"), &json!("USD"))
    );
    assert_eq!(entries.last().unwrap()["exec_type"], "filled");
    let (_, none) = ask(socket, "cancel_all", json!({})).await;
    assert_eq!(none["result"]["count"], 0);
}

#[tokio::test]
async fn the_switch_cancels_everything_unless_it_is_asked_again() {
    let (_server, client) = start(paused(2)).await;
    client.advance(1_000).await;
    let (mut socket, _) = private_socket(&client).await;
    call(
        &client,
        "AddOrder",
        &format!("{LIMIT}&type=buy&volume=0.5&price=39000"),
    )
    .await;
    call(&client, "CancelAllOrdersAfter", "timeout=60").await;
    client.advance(50_000).await;
    call(&client, "CancelAllOrdersAfter", "timeout=60").await;
    client.advance(59_000).await;
    assert_eq!(kinds(&told(&mut socket).await), ["pending_new", "new"]);
    client.advance(1_000).await;
    let ended = told(&mut socket).await;
    assert_eq!(
        (kinds(&ended), &ended[0]["reason"]),
        (vec!["canceled"], &json!("Cancel all orders after"))
    );
    // It disarms when it has fired.
    call(
        &client,
        "AddOrder",
        &format!("{LIMIT}&type=buy&volume=0.5&price=39000"),
    )
    .await;
    client.advance(120_000).await;
    assert_eq!(
        call(&client, "OpenOrders", "").await["open"]
            .as_object()
            .unwrap()
            .len(),
        1
    );
    let off = call(&client, "CancelAllOrdersAfter", "timeout=0").await;
    assert_eq!(off["triggerTime"], "0");
}

#[tokio::test]
async fn balances_and_time_limits_are_told() {
    let (_server, client) = start(paused(2)).await;
    client.advance(1_000).await;
    let (mut socket, token) = private_socket(&client).await;
    let params = json!({ "channel": "balances", "token": token });
    socket
        .send(&json!({ "method": "subscribe", "params": params }))
        .await;
    let (_, snapshot) = socket.until(|message| message["channel"] == "balances").await;
    assert_eq!(
        (
            &snapshot["type"],
            &snapshot["data"][0]["asset"],
            &snapshot["data"][0]["balance"]
        ),
        (&json!("snapshot"), &json!("BTC"), &json!(10.0))
    );
    call(
        &client,
        "AddOrder",
        "ordertype=market&pair=XBTUSD&type=sell&volume=0.5",
    )
    .await;
    let (_, update) = socket.until(|message| message["channel"] == "balances").await;
    assert_eq!(
        (&update["data"][0]["asset"], &update["data"][0]["balance"]),
        (&json!("BTC"), &json!(9.5))
    );
    let end = client::OPEN_MS / 1_000 + 10;
    call(
        &client,
        "AddOrder",
        &format!("{LIMIT}&type=buy&volume=0.5&price=39000&timeinforce=GTD&expiretm={end}"),
    )
    .await;
    told(&mut socket).await;
    client.advance(10_000).await;
    assert_eq!(kinds(&told(&mut socket).await), ["expired"]);
}
