//! Orders and the market over REST.

use std::sync::atomic::Ordering;

use domain::Price;
use serde_json::{Value, json};

use super::{Client, LIMIT, NONCE, OTHER_KEY, call, client, paused, public, refusal, send, signature, start};

#[tokio::test]
async fn an_order_lives_through_its_states_over_rest() {
    let (_server, client) = start(paused(2)).await;
    client.advance(10_000).await;
    let params = format!("{LIMIT}&type=buy&volume=0.5&price=39900&cl_ord_id=e1-s0-1&userref=7");
    let placed = call(&client, "AddOrder", &params).await;
    let id = placed["txid"][0].as_str().unwrap().to_owned();
    assert_eq!(
        placed["descr"]["order"],
        "buy 0.50000000 XBTUSD @ limit 39900.00000000"
    );
    let open = call(&client, "OpenOrders", "cl_ord_id=e1-s0-1").await;
    let order = &open["open"][&id];
    assert_eq!(
        (&order["status"], &order["vol"], &order["userref"]),
        (&json!("open"), &json!("0.50000000"), &json!(7))
    );
    assert_eq!(
        call(&client, "OpenOrders", "cl_ord_id=other").await,
        json!({ "open": {} })
    );
    assert_eq!(
        call(&client, "QueryOrders", &format!("txid={id}")).await[&id],
        *order
    );
    assert_eq!(
        refusal(&client, "AddOrder", &params).await,
        "EGeneral:Invalid arguments:cl_ord_id not unique"
    );
    let held = call(&client, "BalanceEx", "").await;
    assert_eq!(
        held["XXBT"],
        json!({ "balance": "10.00000000", "hold_trade": "0.00000000" })
    );
    assert!(
        held["ZUSD"]["hold_trade"]
            .as_str()
            .unwrap()
            .starts_with("19969.95"),
        "{held}"
    );
    an_order_is_changed_and_ends(&client, &id).await;
}

async fn an_order_is_changed_and_ends(client: &Client, id: &str) {
    call(
        client,
        "AmendOrder",
        &format!("txid={id}&order_qty=0.25&limit_price=39901"),
    )
    .await;
    let amended = call(client, "QueryOrders", &format!("txid={id}")).await;
    assert_eq!(
        (&amended[id]["vol"], &amended[id]["descr"]["price"]),
        (&json!("0.25000000"), &json!("39901.00000000"))
    );
    let edited = call(client, "EditOrder", &format!("txid={id}&pair=XBTUSD&price=39800")).await;
    let next = edited["txid"].as_str().unwrap();
    assert_ne!(next, id);
    assert_eq!(
        call(client, "CancelOrder", "cl_ord_id=e1-s0-1").await,
        json!({ "count": 1 })
    );
    assert_eq!(
        refusal(client, "CancelOrder", &format!("txid={next}")).await,
        "EOrder:Unknown order"
    );
    let closed = call(client, "ClosedOrders", "").await;
    assert_eq!(closed["count"], 2);
    let ended = &closed["closed"][next];
    assert_eq!(
        (&ended["status"], &ended["reason"]),
        (&json!("canceled"), &json!("User requested"))
    );
    assert_eq!(
        call(client, "BalanceEx", "").await["ZUSD"]["hold_trade"],
        "0.00000000"
    );
}

#[tokio::test]
async fn a_market_order_is_filled_and_paid_for() {
    let (_server, client) = start(paused(2)).await;
    client.advance(20_000).await;
    let placed = call(
        &client,
        "AddOrder",
        "ordertype=market&pair=XBT/USD&type=buy&volume=0.02",
    )
    .await;
    let id = placed["txid"][0].as_str().unwrap();
    let queried = call(&client, "QueryOrders", &format!("txid={id}&trades=true")).await;
    assert_eq!(
        (&queried[id]["status"], &queried[id]["vol_exec"]),
        (&json!("closed"), &json!("0.02000000"))
    );
    let history = call(&client, "TradesHistory", "").await;
    let trades = history["trades"].as_object().unwrap();
    assert_eq!(queried[id]["trades"].as_array().unwrap().len(), trades.len());
    let number = |value: &Value| Price::parse(value.as_str().unwrap().as_bytes()).unwrap().units();
    let paid: i64 = trades
        .values()
        .map(|trade| number(&trade["cost"]) + number(&trade["fee"]))
        .sum();
    let balance = call(&client, "Balance", "").await;
    assert_eq!(number(&balance["ZUSD"]), 100_000_000_000_000 - paid);
    assert_eq!(balance["XXBT"], "10.02000000");
    let (trade, one) = trades.iter().next().unwrap();
    assert_eq!(
        call(&client, "QueryTrades", &format!("txid={trade}")).await[trade],
        *one
    );
    assert_eq!((&one["ordertxid"], &one["maker"]), (&json!(id), &json!(false)));
    let other = Client {
        key: OTHER_KEY,
        ..client
    };
    assert_eq!(call(&other, "TradesHistory", "").await["count"], 0);
    assert_eq!(
        call(&other, "QueryOrders", &format!("txid={id}")).await,
        json!({})
    );
}

#[tokio::test]
async fn refusals_are_worded_as_the_venues() {
    let (_server, client) = start(paused(2)).await;
    client.advance(1_000).await;
    let add = async |params: &str| refusal(&client, "AddOrder", params).await;
    assert_eq!(
        add("ordertype=limit&pair=ETHUSD&type=buy&volume=1&price=1").await,
        "EQuery:Unknown asset pair"
    );
    assert_eq!(
        add(&format!("{LIMIT}&type=buy&volume=1&price=39900.001")).await,
        "EOrder:Tick size check failed"
    );
    assert_eq!(
        add(&format!("{LIMIT}&type=buy&volume=0.000001&price=39900")).await,
        "EOrder:Order minimum not met"
    );
    assert_eq!(
        add(&format!("{LIMIT}&type=buy&volume=0.00001&price=39900")).await,
        "EOrder:Cost minimum not met"
    );
    assert_eq!(
        add(&format!("{LIMIT}&type=buy&volume=100&price=39900")).await,
        "EOrder:Insufficient funds"
    );
    assert_eq!(
        add(&format!("{LIMIT}&type=hold&volume=1&price=1")).await,
        "EGeneral:Invalid arguments:type"
    );
    let gone = "2020-01-01T00:00:00Z";
    let late = format!("{LIMIT}&type=buy&volume=1&price=39900&deadline={gone}");
    assert_eq!(add(&late).await, "EService:Deadline elapsed");
    assert_eq!(refusal(&client, "Sorcery", "").await, "EGeneral:Unknown method");
    let stranger = Client {
        key: "nobody",
        ..client
    };
    assert_eq!(refusal(&stranger, "Balance", "").await, "EAPI:Invalid key");
    let forged = send(&client, "Balance", "nonce=9000000", "AAAA").await.json();
    assert_eq!(forged["error"][0], "EAPI:Invalid signature");
    let nonce = "5000000";
    let body = format!("nonce={nonce}");
    let good = signature("/0/private/Balance", nonce, &body);
    assert_eq!(
        send(&client, "Balance", &body, &good).await.json()["error"],
        json!([])
    );
    assert_eq!(
        send(&client, "Balance", &body, &good).await.json()["error"][0],
        "EAPI:Invalid nonce"
    );
    NONCE.fetch_max(5_000_001, Ordering::Relaxed);
    // An order that was to rest only, and would take, stands as canceled.
    let placed = call(
        &client,
        "AddOrder",
        &format!("{LIMIT}&type=buy&volume=0.01&price=40100&oflags=post"),
    )
    .await;
    let id = placed["txid"][0].as_str().unwrap();
    let queried = call(&client, "QueryOrders", &format!("txid={id}")).await;
    assert_eq!(
        (&queried[id]["status"], &queried[id]["reason"]),
        (&json!("canceled"), &json!("Post only order"))
    );
}

#[tokio::test]
async fn public_calls_describe_the_market() {
    let (_server, client) = start(paused(3)).await;
    client.advance(client::SPAN_MS + 5_000).await;
    let pairs = public(&client, "AssetPairs").await["result"]["XXBTZUSD"].clone();
    assert_eq!(
        (&pairs["wsname"], &pairs["altname"], &pairs["tick_size"]),
        (&json!("XBT/USD"), &json!("XBTUSD"), &json!("0.00390625"))
    );
    assert_eq!(
        public(&client, "Assets").await["result"]["XXBT"]["altname"],
        "XBT"
    );
    assert_eq!(
        public(&client, "Time").await["result"]["unixtime"],
        (client::OPEN_MS + client::SPAN_MS) / 1_000 + 5
    );
    assert_eq!(
        public(&client, "SystemStatus").await["result"]["status"],
        "online"
    );
    let depth = public(&client, "Depth?pair=XBTUSD&count=5").await["result"]["XXBTZUSD"].clone();
    assert_eq!(
        (
            depth["asks"].as_array().unwrap().len(),
            depth["bids"].as_array().unwrap().len()
        ),
        (5, 5)
    );
    let bars = public(&client, "OHLC?pair=XBTUSD&interval=15").await["result"]["XXBTZUSD"].clone();
    assert_eq!(
        (&bars[0][0], &bars[0][1]),
        (&json!(client::OPEN_MS / 1_000), &json!("40000.00000000"))
    );
    assert_eq!(
        public(&client, "OHLC?pair=XBTUSD&interval=7").await["error"][0],
        "EGeneral:Invalid arguments:interval"
    );
    let ticker = public(&client, "Ticker?pair=XBTUSD").await["result"]["XXBTZUSD"].clone();
    assert_eq!(ticker["a"][0], depth["asks"][0][0]);
    let trades = public(&client, "Trades?pair=XBTUSD&count=1").await["result"]["XXBTZUSD"].clone();
    assert_eq!(trades[0].as_array().unwrap().len(), 7);
    assert_eq!(
        public(&client, "Depth?pair=DOGEUSD").await["error"][0],
        "EQuery:Unknown asset pair"
    );
}
